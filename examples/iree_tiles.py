"""Ten measurements for the tiles of a product with bias and ReLU, compiled by IREE for this processor.

Needs `pip install iree-base-compiler iree-base-runtime` (3.13). A candidate takes about a second to compile.
"""

from perfmodel.integrations import iree

MODULE = """
#both = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>
func.func @main(%a: tensor<256x512xf32>, %b: tensor<512x384xf32>, %bias: tensor<384xf32>) -> tensor<256x384xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<256x384xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<256x384xf32>) -> tensor<256x384xf32>
  %product = linalg.matmul ins(%a, %b : tensor<256x512xf32>, tensor<512x384xf32>)
      outs(%start : tensor<256x384xf32>) -> tensor<256x384xf32>
  %y = linalg.generic {indexing_maps = [#both, #row, #both], iterator_types = ["parallel", "parallel"]}
      ins(%product, %bias : tensor<256x384xf32>, tensor<384xf32>) outs(%empty : tensor<256x384xf32>) {
  ^bb0(%one: f32, %added: f32, %out: f32):
    %sum = arith.addf %one, %added : f32
    %most = arith.maximumf %sum, %zero : f32
    linalg.yield %most : f32
  } -> tensor<256x384xf32>
  return %y : tensor<256x384xf32>
}
"""

found = iree.tune(MODULE, measurements=10)
own = iree.Target.of(MODULE)
default, _ = iree.timed(own, iree.build(own, {"strategy": 1}))
for row, seconds in found.measured:
    print(f"candidate {row:3}: {1e3 * seconds:.3f} ms")
print(
    f"the best: {1e3 * found.seconds:.3f} ms with {found.configuration}; the compiler's own choice: {1e3 * default:.3f} ms"
)
