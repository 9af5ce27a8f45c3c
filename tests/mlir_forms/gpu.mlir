module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @k(%a: memref<1024xf32>) workgroup(%w: memref<32xf32, #gpu.address_space<workgroup>>) kernel {
      %t = gpu.thread_id x
      %d = gpu.block_dim y
      %v = memref.load %a[%t] : memref<1024xf32>
      %c1 = arith.constant 1 : i32
      %c32 = arith.constant 32 : i32
      %s, %p = gpu.shuffle xor %v, %c1, %c32 : f32
      gpu.barrier
      memref.store %s, %w[%t] : memref<32xf32, #gpu.address_space<workgroup>>
      gpu.return
    }
  }
  func.func @main(%a: memref<1024xf32>, %c: index) {
    gpu.launch blocks(%bx, %by, %bz) in (%gx = %c, %gy = %c, %gz = %c)
               threads(%tx, %ty, %tz) in (%sx = %c, %sy = %c, %sz = %c) {
      %v = memref.load %a[%tx] : memref<1024xf32>
      memref.store %v, %a[%bx] : memref<1024xf32>
      gpu.terminator
    }
    gpu.launch_func @kernels::@k blocks in (%c, %c, %c) threads in (%c, %c, %c) args(%a : memref<1024xf32>)
    return
  }
}
