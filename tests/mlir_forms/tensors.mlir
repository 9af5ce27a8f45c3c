func.func @f(%t: tensor<?x128xf32>, %i: index, %x: f32, %l: tensor<8xi32>) -> tensor<8x4xf32> {
  %c0 = arith.constant 0 : index
  %d = tensor.dim %t, %c0 : tensor<?x128xf32>
  %e = tensor.empty(%d) : tensor<?x4xf32>
  %0 = tensor.extract_slice %t[%i, 0] [8, 4] [1, 2] : tensor<?x128xf32> to tensor<8x4xf32>
  %1 = tensor.insert_slice %0 into %t[%i, 0] [8, 4] [1, 1] : tensor<8x4xf32> into tensor<?x128xf32>
  %2 = tensor.extract %1[%i, %c0] : tensor<?x128xf32>
  %3 = tensor.insert %x into %0[%c0, %c0] : tensor<8x4xf32>
  %4 = tensor.from_elements %x, %2 : tensor<2xf32>
  %5 = tensor.generate %d {
  ^bb0(%a: index):
    tensor.yield %x : f32
  } : tensor<?xf32>
  %6 = tensor.pad %0 low[1, %i] high[0, 0] {
  ^bb0(%a: index, %b: index):
    tensor.yield %x : f32
  } : tensor<8x4xf32> to tensor<9x?xf32>
  %7 = tensor.concat dim(0) %0, %3 : (tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<16x4xf32>
  %8 = tensor.collapse_shape %0 [[0, 1]] : tensor<8x4xf32> into tensor<32xf32>
  %9 = tensor.expand_shape %8 [[0, 1]] output_shape [8, 4] : tensor<32xf32> into tensor<8x4xf32>
  %10 = tensor.cast %t : tensor<?x128xf32> to tensor<*xf32>
  %11 = tensor.splat %x : tensor<8x4xf32>
  %13 = tensor.reshape %0(%l) : (tensor<8x4xf32>, tensor<8xi32>) -> tensor<*xf32>
  return %11 : tensor<8x4xf32>
}
