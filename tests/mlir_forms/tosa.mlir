func.func @f(%x: tensor<1x8x16xf32>, %c: tensor<i1>) -> tensor<1x8x16xf32> {
  %s = tosa.const_shape {values = dense<[1, 128]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %0 = tosa.reshape %x, %s : (tensor<1x8x16xf32>, !tosa.shape<2>) -> tensor<1x128xf32>
  %1 = tosa.reduce_max %x {axis = 2 : i32} : (tensor<1x8x16xf32>) -> tensor<1x8x1xf32>
  %2 = tosa.sub %x, %1 : (tensor<1x8x16xf32>, tensor<1x8x1xf32>) -> tensor<1x8x16xf32>
  %3 = tosa.exp %2 : (tensor<1x8x16xf32>) -> tensor<1x8x16xf32>
  return %3 : tensor<1x8x16xf32>
}
