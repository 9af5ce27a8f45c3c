module {
  func.func @main(%arg0: tensor<8x128x256xf32>) -> tensor<8x128x256xf32> {
    %0 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<8x4x128x128xf32>}> : () -> tensor<8x4x128x128xf32>
    %1 = tosa.const_shape  {values = dense<[128, 8, 256]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %2 = tosa.const_shape  {values = dense<[128, 1, 1]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %3 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<1xf32>}> : () -> tensor<1xf32>
    %4 = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %5 = tosa.const_shape  {values = dense<[1, 128, 8, 3, 256]> : tensor<5xindex>} : () -> !tosa.shape<5>
    %6 = tosa.const_shape  {values = dense<[3, 128, 8, 256]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %7 = tosa.const_shape  {values = dense<[1, 128, 8, 256]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %8 = tosa.const_shape  {values = dense<0> : tensor<4xindex>} : () -> !tosa.shape<4>
    %9 = tosa.const_shape  {values = dense<[1, 0, 0, 0]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %10 = tosa.const_shape  {values = dense<[2, 0, 0, 0]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %11 = tosa.const_shape  {values = dense<[128, 32, 64]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %12 = tosa.const_shape  {values = dense<[8, 4, 128, 64]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %13 = tosa.const_shape  {values = dense<[32, 128, 64]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %14 = tosa.const_shape  {values = dense<[32, 64, 128]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %15 = tosa.const_shape  {values = dense<[8, 4, 128, 128]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %16 = tosa.const_shape  {values = dense<[32, 128, 128]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %17 = tosa.const_shape  {values = dense<[1024, 256]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %18 = tosa.const_shape  {values = dense<[1, 1024, 256]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %19 = tosa.const_shape  {values = dense<1024> : tensor<2xindex>} : () -> !tosa.shape<2>
    %20 = tosa.const_shape  {values = dense<[8, 128, 1024]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %21 = tosa.const_shape  {values = dense<[1, 1024, 1024]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %22 = tosa.const_shape  {values = dense<[8, 128, 256]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %23 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256x768xf32>}> : () -> tensor<1x256x768xf32>
    %24 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x768xf32>}> : () -> tensor<1x1x768xf32>
    %25 = "tosa.const"() <{values = dense<0.353553385> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %26 = "tosa.const"() <{values = dense<0xFFF0000000000000> : tensor<1x1x1x1xf64>}> : () -> tensor<1x1x1x1xf64>
    %27 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256x256xf32>}> : () -> tensor<1x256x256xf32>
    %28 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256xf32>}> : () -> tensor<1x256xf32>
    %29 = "tosa.const"() <{values = dense<3.906250e-03> : tensor<1x1x1xf64>}> : () -> tensor<1x1x1xf64>
    %30 = "tosa.const"() <{values = dense<3.906250e-03> : tensor<1x1x1xf32>}> : () -> tensor<1x1x1xf32>
    %31 = "tosa.const"() <{values = dense<9.99999974E-6> : tensor<1x1x1xf32>}> : () -> tensor<1x1x1xf32>
    %32 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %33 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %34 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256x1024xf32>}> : () -> tensor<1x256x1024xf32>
    %35 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1024xf32>}> : () -> tensor<1x1024xf32>
    %36 = "tosa.const"() <{values = dense<1.000000e+00> : tensor<1x1x1xf32>}> : () -> tensor<1x1x1xf32>
    %37 = "tosa.const"() <{values = dense<5.000000e-01> : tensor<1x1x1xf32>}> : () -> tensor<1x1x1xf32>
    %38 = "tosa.const"() <{values = dense<0.707106769> : tensor<1x1x1xf32>}> : () -> tensor<1x1x1xf32>
    %39 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1024x256xf32>}> : () -> tensor<1x1024x256xf32>
    %40 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256xf32>}> : () -> tensor<1x256xf32>
    %41 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %42 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %43 = tosa.transpose %arg0 {perms = array<i32: 1, 0, 2>} : (tensor<8x128x256xf32>) -> tensor<128x8x256xf32>
    %44 = tosa.tile %23, %2 : (tensor<1x256x768xf32>, !tosa.shape<3>) -> tensor<128x256x768xf32>
    %45 = tosa.matmul %43, %44, %3, %3 : (tensor<128x8x256xf32>, tensor<128x256x768xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<128x8x768xf32>
    %46 = tosa.add %45, %24 : (tensor<128x8x768xf32>, tensor<1x1x768xf32>) -> tensor<128x8x768xf32>
    %47 = tosa.reshape %46, %5 : (tensor<128x8x768xf32>, !tosa.shape<5>) -> tensor<1x128x8x3x256xf32>
    %48 = tosa.transpose %47 {perms = array<i32: 3, 1, 2, 0, 4>} : (tensor<1x128x8x3x256xf32>) -> tensor<3x128x8x1x256xf32>
    %49 = tosa.reshape %48, %6 : (tensor<3x128x8x1x256xf32>, !tosa.shape<4>) -> tensor<3x128x8x256xf32>
    %50 = tosa.slice %49, %8, %7 : (tensor<3x128x8x256xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x128x8x256xf32>
    %51 = tosa.slice %49, %9, %7 : (tensor<3x128x8x256xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x128x8x256xf32>
    %52 = tosa.slice %49, %10, %7 : (tensor<3x128x8x256xf32>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x128x8x256xf32>
    %53 = tosa.reshape %50, %11 : (tensor<1x128x8x256xf32>, !tosa.shape<3>) -> tensor<128x32x64xf32>
    %54 = tosa.transpose %53 {perms = array<i32: 1, 0, 2>} : (tensor<128x32x64xf32>) -> tensor<32x128x64xf32>
    %55 = tosa.reshape %51, %11 : (tensor<1x128x8x256xf32>, !tosa.shape<3>) -> tensor<128x32x64xf32>
    %56 = tosa.transpose %55 {perms = array<i32: 1, 0, 2>} : (tensor<128x32x64xf32>) -> tensor<32x128x64xf32>
    %57 = tosa.reshape %52, %11 : (tensor<1x128x8x256xf32>, !tosa.shape<3>) -> tensor<128x32x64xf32>
    %58 = tosa.transpose %57 {perms = array<i32: 1, 0, 2>} : (tensor<128x32x64xf32>) -> tensor<32x128x64xf32>
    %59 = tosa.reshape %54, %12 : (tensor<32x128x64xf32>, !tosa.shape<4>) -> tensor<8x4x128x64xf32>
    %60 = tosa.reshape %56, %12 : (tensor<32x128x64xf32>, !tosa.shape<4>) -> tensor<8x4x128x64xf32>
    %61 = tosa.mul %59, %25, %4 : (tensor<8x4x128x64xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<8x4x128x64xf32>
    %62 = tosa.transpose %60 {perms = array<i32: 0, 1, 3, 2>} : (tensor<8x4x128x64xf32>) -> tensor<8x4x64x128xf32>
    %63 = tosa.mul %62, %25, %4 : (tensor<8x4x64x128xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<8x4x64x128xf32>
    %64 = tosa.reshape %61, %13 : (tensor<8x4x128x64xf32>, !tosa.shape<3>) -> tensor<32x128x64xf32>
    %65 = tosa.reshape %63, %14 : (tensor<8x4x64x128xf32>, !tosa.shape<3>) -> tensor<32x64x128xf32>
    %66 = tosa.matmul %64, %65, %3, %3 : (tensor<32x128x64xf32>, tensor<32x64x128xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<32x128x128xf32>
    %67 = tosa.reshape %66, %15 : (tensor<32x128x128xf32>, !tosa.shape<4>) -> tensor<8x4x128x128xf32>
    %68 = tosa.reduce_max %67 {axis = 3 : i32} : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x1xf32>
    %69 = tosa.sub %67, %68 : (tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>) -> tensor<8x4x128x128xf32>
    %70 = tosa.exp %69 : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %71 = tosa.reduce_sum %70 {axis = 3 : i32} : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x1xf32>
    %72 = tosa.reciprocal %71 : (tensor<8x4x128x1xf32>) -> tensor<8x4x128x1xf32>
    %73 = tosa.mul %70, %72, %4 : (tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>, tensor<1xi8>) -> tensor<8x4x128x128xf32>
    %74 = tosa.cast %67 : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf64>
    %75 = tosa.equal %74, %26 : (tensor<8x4x128x128xf64>, tensor<1x1x1x1xf64>) -> tensor<8x4x128x128xi1>
    %76 = tosa.reduce_all %75 {axis = 3 : i32} : (tensor<8x4x128x128xi1>) -> tensor<8x4x128x1xi1>
    %77 = tosa.select %76, %0, %73 : (tensor<8x4x128x1xi1>, tensor<8x4x128x128xf32>, tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %78 = tosa.reshape %77, %16 : (tensor<8x4x128x128xf32>, !tosa.shape<3>) -> tensor<32x128x128xf32>
    %79 = tosa.matmul %78, %58, %3, %3 : (tensor<32x128x128xf32>, tensor<32x128x64xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<32x128x64xf32>
    %80 = tosa.reshape %79, %12 : (tensor<32x128x64xf32>, !tosa.shape<4>) -> tensor<8x4x128x64xf32>
    %81 = tosa.transpose %80 {perms = array<i32: 2, 0, 1, 3>} : (tensor<8x4x128x64xf32>) -> tensor<128x8x4x64xf32>
    %82 = tosa.reshape %81, %18 : (tensor<128x8x4x64xf32>, !tosa.shape<3>) -> tensor<1x1024x256xf32>
    %83 = tosa.matmul %82, %27, %3, %3 : (tensor<1x1024x256xf32>, tensor<1x256x256xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1024x256xf32>
    %84 = tosa.reshape %83, %17 : (tensor<1x1024x256xf32>, !tosa.shape<2>) -> tensor<1024x256xf32>
    %85 = tosa.add %84, %28 : (tensor<1024x256xf32>, tensor<1x256xf32>) -> tensor<1024x256xf32>
    %86 = tosa.reshape %85, %1 : (tensor<1024x256xf32>, !tosa.shape<3>) -> tensor<128x8x256xf32>
    %87 = tosa.transpose %86 {perms = array<i32: 1, 0, 2>} : (tensor<128x8x256xf32>) -> tensor<8x128x256xf32>
    %88 = tosa.add %arg0, %87 : (tensor<8x128x256xf32>, tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %89 = tosa.cast %88 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %90 = tosa.reduce_sum %89 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %91 = tosa.mul %90, %29, %4 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %92 = tosa.sub %89, %91 : (tensor<8x128x256xf64>, tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %93 = tosa.mul %92, %92, %4 : (tensor<8x128x256xf64>, tensor<8x128x256xf64>, tensor<1xi8>) -> tensor<8x128x256xf64>
    %94 = tosa.reduce_sum %93 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %95 = tosa.mul %94, %29, %4 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %96 = tosa.cast %95 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %97 = tosa.reduce_sum %88 {axis = 2 : i32} : (tensor<8x128x256xf32>) -> tensor<8x128x1xf32>
    %98 = tosa.mul %97, %30, %4 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1xf32>
    %99 = tosa.add %96, %31 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1xf32>
    %100 = tosa.rsqrt %99 : (tensor<8x128x1xf32>) -> tensor<8x128x1xf32>
    %101 = tosa.sub %88, %98 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %102 = tosa.mul %101, %100, %4 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %103 = tosa.mul %102, %32, %4 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %104 = tosa.add %103, %33 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>) -> tensor<8x128x256xf32>
    %105 = tosa.reshape %104, %18 : (tensor<8x128x256xf32>, !tosa.shape<3>) -> tensor<1x1024x256xf32>
    %106 = tosa.matmul %105, %34, %3, %3 : (tensor<1x1024x256xf32>, tensor<1x256x1024xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1024x1024xf32>
    %107 = tosa.reshape %106, %19 : (tensor<1x1024x1024xf32>, !tosa.shape<2>) -> tensor<1024x1024xf32>
    %108 = tosa.add %107, %35 : (tensor<1024x1024xf32>, tensor<1x1024xf32>) -> tensor<1024x1024xf32>
    %109 = tosa.reshape %108, %20 : (tensor<1024x1024xf32>, !tosa.shape<3>) -> tensor<8x128x1024xf32>
    %110 = tosa.mul %109, %38, %4 : (tensor<8x128x1024xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1024xf32>
    %111 = tosa.erf %110 : (tensor<8x128x1024xf32>) -> tensor<8x128x1024xf32>
    %112 = tosa.add %111, %36 : (tensor<8x128x1024xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1024xf32>
    %113 = tosa.mul %37, %112, %4 : (tensor<1x1x1xf32>, tensor<8x128x1024xf32>, tensor<1xi8>) -> tensor<8x128x1024xf32>
    %114 = tosa.mul %109, %113, %4 : (tensor<8x128x1024xf32>, tensor<8x128x1024xf32>, tensor<1xi8>) -> tensor<8x128x1024xf32>
    %115 = tosa.reshape %114, %21 : (tensor<8x128x1024xf32>, !tosa.shape<3>) -> tensor<1x1024x1024xf32>
    %116 = tosa.matmul %115, %39, %3, %3 : (tensor<1x1024x1024xf32>, tensor<1x1024x256xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1024x256xf32>
    %117 = tosa.reshape %116, %17 : (tensor<1x1024x256xf32>, !tosa.shape<2>) -> tensor<1024x256xf32>
    %118 = tosa.add %117, %40 : (tensor<1024x256xf32>, tensor<1x256xf32>) -> tensor<1024x256xf32>
    %119 = tosa.reshape %118, %22 : (tensor<1024x256xf32>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %120 = tosa.add %104, %119 : (tensor<8x128x256xf32>, tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %121 = tosa.cast %120 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %122 = tosa.reduce_sum %121 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %123 = tosa.mul %122, %29, %4 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %124 = tosa.sub %121, %123 : (tensor<8x128x256xf64>, tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %125 = tosa.mul %124, %124, %4 : (tensor<8x128x256xf64>, tensor<8x128x256xf64>, tensor<1xi8>) -> tensor<8x128x256xf64>
    %126 = tosa.reduce_sum %125 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %127 = tosa.mul %126, %29, %4 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %128 = tosa.cast %127 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %129 = tosa.reduce_sum %120 {axis = 2 : i32} : (tensor<8x128x256xf32>) -> tensor<8x128x1xf32>
    %130 = tosa.mul %129, %30, %4 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1xf32>
    %131 = tosa.add %128, %31 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1xf32>
    %132 = tosa.rsqrt %131 : (tensor<8x128x1xf32>) -> tensor<8x128x1xf32>
    %133 = tosa.sub %120, %130 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %134 = tosa.mul %133, %132, %4 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %135 = tosa.mul %134, %41, %4 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %136 = tosa.add %135, %42 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>) -> tensor<8x128x256xf32>
    return %136 : tensor<8x128x256xf32>
  }
}

