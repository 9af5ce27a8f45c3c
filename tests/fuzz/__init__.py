"""Fuzzing of everything that perfmodel reads: ``python -m fuzz`` in tests/ (docs/robustness.md).

=============  ==========================================================================================
``targets``    what is read, with seeds; each entry reads one damaged file and says what it came to
``mutations``  damage that keeps JSON, TOML and tables readable enough to get past their parsers
``worker``     one slice of one target under Atheris, in a process of its own with limits
``__main__``   the driver: picks the target that had the least time, keeps counts and findings in a folder
=============  ==========================================================================================
"""
