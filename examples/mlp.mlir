// tanh(A B + v): a product with a bias and an activation behind it.
func.func @main(%a: tensor<100x300xf32>, %b: tensor<300x200xf32>, %v: tensor<200xf32>) -> tensor<100x200xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<100x200xf32>
  %filled = linalg.fill ins(%zero : f32) outs(%empty : tensor<100x200xf32>) -> tensor<100x200xf32>
  %c = linalg.matmul ins(%a, %b : tensor<100x300xf32>, tensor<300x200xf32>)
      outs(%filled : tensor<100x200xf32>) -> tensor<100x200xf32>
  %r = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%c, %v : tensor<100x200xf32>, tensor<200xf32>) outs(%empty : tensor<100x200xf32>) {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %s = arith.addf %x, %y : f32
    %t = math.tanh %s : f32
    linalg.yield %t : f32
  } -> tensor<100x200xf32>
  return %r : tensor<100x200xf32>
}
