#m0 = affine_map<(d0, d1, d2) -> (d0, d2)>
#m1 = affine_map<(d0, d1, d2) -> (d2, d1)>
#m2 = affine_map<(d0, d1, d2) -> (d0, d1)>
func.func @f(%A: memref<64x64xf32>, %i: index, %z: f32, %s: vector<[4]xf32>) -> vector<4x4xf32> {
  %a = vector.transfer_read %A[%i, %i], %z {in_bounds = [true, true]} : memref<64x64xf32>, vector<4x8xf32>
  %b = vector.transfer_read %A[%i, %i], %z : memref<64x64xf32>, vector<8x4xf32>
  %c = arith.constant dense<0.0> : vector<4x4xf32>
  %0 = vector.contract {indexing_maps = [#m0, #m1, #m2], iterator_types = ["parallel", "parallel", "reduction"],
    kind = #vector.kind<add>} %a, %b, %c : vector<4x8xf32>, vector<8x4xf32> into vector<4x4xf32>
  vector.transfer_write %0, %A[%i, %i] : vector<4x4xf32>, memref<64x64xf32>
  %1 = vector.extract %0[0] : vector<4xf32> from vector<4x4xf32>
  %2 = vector.reduction <add>, %1 : vector<4xf32> into f32
  %3 = vector.broadcast %2 : f32 to vector<4xf32>
  %4 = vector.fma %1, %3, %1 : vector<4xf32>
  %5 = vector.insert %4, %0 [1] : vector<4xf32> into vector<4x4xf32>
  %6 = vector.shuffle %1, %4 [0, 2, 4] : vector<4xf32>, vector<4xf32>
  %7 = vector.load %A[%i, %i] : memref<64x64xf32>, vector<4xf32>
  vector.store %7, %A[%i, %i] : memref<64x64xf32>, vector<4xf32>
  %8 = vector.transpose %0, [1, 0] : vector<4x4xf32> to vector<4x4xf32>
  %9 = vector.multi_reduction <add>, %0, %1 [1] : vector<4x4xf32> to vector<4xf32>
  %10 = vector.extract_strided_slice %0 {offsets = [0, 0], sizes = [2, 2], strides = [1, 1]} : vector<4x4xf32> to vector<2x2xf32>
  %11 = vector.shape_cast %0 : vector<4x4xf32> to vector<16xf32>
  %12 = vector.outerproduct %1, %4 : vector<4xf32>, vector<4xf32>
  return %12 : vector<4x4xf32>
}
