module {
  memref.global "private" constant @g : memref<4xf32> = dense<1.0>
  func.func @f(%n: index) -> memref<8x16xf32, strided<[64, 1], offset: ?>> {
    %c0 = arith.constant 0 : index
    %a = memref.alloc(%n) {alignment = 64 : i64} : memref<?x64xf32>
    %s = memref.alloca() : memref<4xf32, 3>
    %g = memref.get_global @g : memref<4xf32>
    %d = memref.dim %a, %c0 : memref<?x64xf32>
    %v = memref.subview %a[%c0, 0] [8, 16] [1, 1] : memref<?x64xf32> to memref<8x16xf32, strided<[64, 1], offset: ?>>
    %k = memref.cast %a : memref<?x64xf32> to memref<*xf32>
    %w = memref.collapse_shape %a [[0, 1]] : memref<?x64xf32> into memref<?xf32>
    %x = memref.reinterpret_cast %w to offset: [0], sizes: [%d, 4], strides: [4, 1] : memref<?xf32> to memref<?x4xf32>
    memref.copy %g, %g : memref<4xf32> to memref<4xf32>
    memref.dealloc %a : memref<?x64xf32>
    return %v : memref<8x16xf32, strided<[64, 1], offset: ?>>
  }
}
