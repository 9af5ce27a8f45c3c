/* C = A B of 256 x 256 floats, in blocks for caches and registers. Kernel Tuner compiles it with the parameters as macros
 * (tile_m, tile_n, tile_k, inner_m, inner_n, vector, unroll). Returns the milliseconds of the fastest of seven runs. */
#include <time.h>

enum { SIZE = 256 };
typedef float vec __attribute__((vector_size(4 * vector), aligned(4)));

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * t.tv_sec + 1e-6 * t.tv_nsec;
}

/* The results of inner_m x inner_n stay in registers over tile_k steps. */
static inline __attribute__((always_inline)) void block(const float *a, const float *b, float *c) {
    vec sum[inner_m][inner_n / vector];
    for (int i = 0; i < inner_m; i++)
        for (int j = 0; j < inner_n / vector; j++) sum[i][j] = *(const vec *)(c + i * SIZE + j * vector);
    for (int k0 = 0; k0 < tile_k; k0 += unroll)
        for (int k = k0; k < k0 + unroll; k++)
            for (int i = 0; i < inner_m; i++)
                for (int j = 0; j < inner_n / vector; j++)
                    sum[i][j] += a[i * SIZE + k] * *(const vec *)(b + k * SIZE + j * vector);
    for (int i = 0; i < inner_m; i++)
        for (int j = 0; j < inner_n / vector; j++) *(vec *)(c + i * SIZE + j * vector) = sum[i][j];
}

#ifdef __cplusplus
extern "C"
#endif
float gemm(const float *a, const float *b, float *c) {
    double best = 1e30;
    for (int repeat = 0; repeat < 7; repeat++) {
        for (int i = 0; i < SIZE * SIZE; i++) c[i] = 0;
        double start = now();
        for (int m = 0; m < SIZE; m += tile_m)
            for (int n = 0; n < SIZE; n += tile_n)
                for (int k = 0; k < SIZE; k += tile_k)
                    for (int i = m; i < m + tile_m; i += inner_m)
                        for (int j = n; j < n + tile_n; j += inner_n)
                            block(a + i * SIZE + k, b + k * SIZE + j, c + i * SIZE + j);
        double took = now() - start;
        if (took < best) best = took;
    }
    return (float)best;
}
