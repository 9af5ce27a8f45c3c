func.func @f(%t: tensor<4xf32>, %x: f32) -> tensor<4xf32> {
  %0 = bufferization.alloc_tensor() : tensor<4xf32>
  %m = bufferization.to_buffer %t : tensor<4xf32> to memref<4xf32>
  %1 = bufferization.to_tensor %m restrict : memref<4xf32> to tensor<4xf32>
  %c = complex.create %x, %x : complex<f32>
  %r = complex.re %c : complex<f32>
  %s = complex.mul %c, %c : complex<f32>
  %u = builtin.unrealized_conversion_cast %x : f32 to i32
  return %1 : tensor<4xf32>
}
