#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @f(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>, %o: tensor<4x8xf32>, %v: tensor<4xf32>, %p: tensor<8x4xf32>,
             %img: tensor<1x3x16x16xf32>, %k: tensor<8x3x3x3xf32>, %r: tensor<1x8x14x14xf32>, %z: f32) -> tensor<4x8xf32> {
  %0 = linalg.fill ins(%z : f32) outs(%o : tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = linalg.map { arith.addf } ins(%a, %b : tensor<4x8xf32>, tensor<4x8xf32>) outs(%o : tensor<4x8xf32>)
  %2 = linalg.map ins(%a : tensor<4x8xf32>) outs(%o : tensor<4x8xf32>) (%in: f32, %init: f32) {
      %q = math.exp %in : f32
      linalg.yield %q : f32
    }
  %3 = linalg.reduce { arith.addf } ins(%a : tensor<4x8xf32>) outs(%v : tensor<4xf32>) dimensions = [1]
  %4 = linalg.reduce ins(%a : tensor<4x8xf32>) outs(%v : tensor<4xf32>) dimensions = [1]
    (%in: f32, %init: f32) {
      %q = arith.maximumf %in, %init : f32
      linalg.yield %q : f32
    }
  %5 = linalg.transpose ins(%a : tensor<4x8xf32>) outs(%p : tensor<8x4xf32>) permutation = [1, 0]
  %6 = linalg.broadcast ins(%v : tensor<4xf32>) outs(%o : tensor<4x8xf32>) dimensions = [1]
  %7 = linalg.conv_2d_nchw_fchw {dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}
    ins(%img, %k : tensor<1x3x16x16xf32>, tensor<8x3x3x3xf32>) outs(%r : tensor<1x8x14x14xf32>) -> tensor<1x8x14x14xf32>
  %8:2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
    ins(%a : tensor<4x8xf32>) outs(%b, %o : tensor<4x8xf32>, tensor<4x8xf32>) attrs = {tag = "two"} {
  ^bb0(%x: f32, %y: f32, %w: f32):
    %i = linalg.index 0 : index
    %q = arith.mulf %x, %y : f32
    linalg.yield %q, %x : f32, f32
  } -> (tensor<4x8xf32>, tensor<4x8xf32>)
  %9 = linalg.add ins(%8#0, %8#1 : tensor<4x8xf32>, tensor<4x8xf32>) outs(%o : tensor<4x8xf32>) -> tensor<4x8xf32>
  return %9 : tensor<4x8xf32>
}
