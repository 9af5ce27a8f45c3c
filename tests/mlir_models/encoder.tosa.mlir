module {
  func.func @main(%arg0: tensor<8x128x256xf32>) -> tensor<8x128x256xf32> {
    %0 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<8x4x128x128xf32>}> : () -> tensor<8x4x128x128xf32>
    %1 = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %2 = tosa.const_shape  {values = dense<[1024, 256]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %3 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<1xf32>}> : () -> tensor<1xf32>
    %4 = tosa.const_shape  {values = dense<[1, 1024, 256]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %5 = tosa.const_shape  {values = dense<[1024, 768]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %6 = tosa.const_shape  {values = dense<[8, 128, 768]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %7 = tosa.const_shape  {values = dense<[8, 128, 256]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %8 = tosa.const_shape  {values = dense<0> : tensor<3xindex>} : () -> !tosa.shape<3>
    %9 = tosa.const_shape  {values = dense<[0, 0, 256]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %10 = tosa.const_shape  {values = dense<[0, 0, 512]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %11 = tosa.const_shape  {values = dense<[8, 128, 4, 64]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %12 = tosa.const_shape  {values = dense<[32, 128, 64]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %13 = tosa.const_shape  {values = dense<[32, 64, 128]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %14 = tosa.const_shape  {values = dense<[8, 4, 128, 128]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %15 = tosa.const_shape  {values = dense<[32, 128, 128]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %16 = tosa.const_shape  {values = dense<[8, 4, 128, 64]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %17 = tosa.const_shape  {values = dense<[8, 1, 1]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %18 = tosa.const_shape  {values = dense<1024> : tensor<2xindex>} : () -> !tosa.shape<2>
    %19 = tosa.const_shape  {values = dense<[8, 128, 1024]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %20 = tosa.const_shape  {values = dense<[1, 1024, 1024]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %21 = "tosa.const"() <{values = dense<3.906250e-03> : tensor<1x1x1xf64>}> : () -> tensor<1x1x1xf64>
    %22 = "tosa.const"() <{values = dense<3.906250e-03> : tensor<1x1x1xf32>}> : () -> tensor<1x1x1xf32>
    %23 = "tosa.const"() <{values = dense<9.99999974E-6> : tensor<1x1x1xf32>}> : () -> tensor<1x1x1xf32>
    %24 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %25 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %26 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256x768xf32>}> : () -> tensor<1x256x768xf32>
    %27 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x768xf32>}> : () -> tensor<1x768xf32>
    %28 = "tosa.const"() <{values = dense<0.353553385> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
    %29 = "tosa.const"() <{values = dense<0xFFF0000000000000> : tensor<1x1x1x1xf64>}> : () -> tensor<1x1x1x1xf64>
    %30 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256x256xf32>}> : () -> tensor<1x256x256xf32>
    %31 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
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
    %43 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256x768xf32>}> : () -> tensor<1x256x768xf32>
    %44 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x768xf32>}> : () -> tensor<1x768xf32>
    %45 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256x256xf32>}> : () -> tensor<1x256x256xf32>
    %46 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %47 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %48 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %49 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256x1024xf32>}> : () -> tensor<1x256x1024xf32>
    %50 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1024xf32>}> : () -> tensor<1x1024xf32>
    %51 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1024x256xf32>}> : () -> tensor<1x1024x256xf32>
    %52 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x256xf32>}> : () -> tensor<1x256xf32>
    %53 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %54 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x1x256xf32>}> : () -> tensor<1x1x256xf32>
    %55 = tosa.cast %arg0 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %56 = tosa.reduce_sum %55 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %57 = tosa.mul %56, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %58 = tosa.sub %55, %57 : (tensor<8x128x256xf64>, tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %59 = tosa.mul %58, %58, %1 : (tensor<8x128x256xf64>, tensor<8x128x256xf64>, tensor<1xi8>) -> tensor<8x128x256xf64>
    %60 = tosa.reduce_sum %59 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %61 = tosa.mul %60, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %62 = tosa.cast %61 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %63 = tosa.reduce_sum %arg0 {axis = 2 : i32} : (tensor<8x128x256xf32>) -> tensor<8x128x1xf32>
    %64 = tosa.mul %63, %22, %1 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1xf32>
    %65 = tosa.add %62, %23 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1xf32>
    %66 = tosa.rsqrt %65 : (tensor<8x128x1xf32>) -> tensor<8x128x1xf32>
    %67 = tosa.sub %arg0, %64 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %68 = tosa.mul %67, %66, %1 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %69 = tosa.mul %68, %24, %1 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %70 = tosa.add %69, %25 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>) -> tensor<8x128x256xf32>
    %71 = tosa.reshape %70, %4 : (tensor<8x128x256xf32>, !tosa.shape<3>) -> tensor<1x1024x256xf32>
    %72 = tosa.matmul %71, %26, %3, %3 : (tensor<1x1024x256xf32>, tensor<1x256x768xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1024x768xf32>
    %73 = tosa.reshape %72, %5 : (tensor<1x1024x768xf32>, !tosa.shape<2>) -> tensor<1024x768xf32>
    %74 = tosa.add %73, %27 : (tensor<1024x768xf32>, tensor<1x768xf32>) -> tensor<1024x768xf32>
    %75 = tosa.reshape %74, %6 : (tensor<1024x768xf32>, !tosa.shape<3>) -> tensor<8x128x768xf32>
    %76 = tosa.slice %75, %8, %7 : (tensor<8x128x768xf32>, !tosa.shape<3>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %77 = tosa.slice %75, %9, %7 : (tensor<8x128x768xf32>, !tosa.shape<3>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %78 = tosa.slice %75, %10, %7 : (tensor<8x128x768xf32>, !tosa.shape<3>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %79 = tosa.reshape %76, %11 : (tensor<8x128x256xf32>, !tosa.shape<4>) -> tensor<8x128x4x64xf32>
    %80 = tosa.transpose %79 {perms = array<i32: 0, 2, 1, 3>} : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %81 = tosa.reshape %77, %11 : (tensor<8x128x256xf32>, !tosa.shape<4>) -> tensor<8x128x4x64xf32>
    %82 = tosa.reshape %78, %11 : (tensor<8x128x256xf32>, !tosa.shape<4>) -> tensor<8x128x4x64xf32>
    %83 = tosa.transpose %82 {perms = array<i32: 0, 2, 1, 3>} : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %84 = tosa.mul %80, %28, %1 : (tensor<8x4x128x64xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<8x4x128x64xf32>
    %85 = tosa.transpose %81 {perms = array<i32: 0, 2, 3, 1>} : (tensor<8x128x4x64xf32>) -> tensor<8x4x64x128xf32>
    %86 = tosa.mul %85, %28, %1 : (tensor<8x4x64x128xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<8x4x64x128xf32>
    %87 = tosa.reshape %84, %12 : (tensor<8x4x128x64xf32>, !tosa.shape<3>) -> tensor<32x128x64xf32>
    %88 = tosa.reshape %86, %13 : (tensor<8x4x64x128xf32>, !tosa.shape<3>) -> tensor<32x64x128xf32>
    %89 = tosa.matmul %87, %88, %3, %3 : (tensor<32x128x64xf32>, tensor<32x64x128xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<32x128x128xf32>
    %90 = tosa.reshape %89, %14 : (tensor<32x128x128xf32>, !tosa.shape<4>) -> tensor<8x4x128x128xf32>
    %91 = tosa.reduce_max %90 {axis = 3 : i32} : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x1xf32>
    %92 = tosa.sub %90, %91 : (tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>) -> tensor<8x4x128x128xf32>
    %93 = tosa.exp %92 : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %94 = tosa.reduce_sum %93 {axis = 3 : i32} : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x1xf32>
    %95 = tosa.reciprocal %94 : (tensor<8x4x128x1xf32>) -> tensor<8x4x128x1xf32>
    %96 = tosa.mul %93, %95, %1 : (tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>, tensor<1xi8>) -> tensor<8x4x128x128xf32>
    %97 = tosa.cast %90 : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf64>
    %98 = tosa.equal %97, %29 : (tensor<8x4x128x128xf64>, tensor<1x1x1x1xf64>) -> tensor<8x4x128x128xi1>
    %99 = tosa.reduce_all %98 {axis = 3 : i32} : (tensor<8x4x128x128xi1>) -> tensor<8x4x128x1xi1>
    %100 = tosa.select %99, %0, %96 : (tensor<8x4x128x1xi1>, tensor<8x4x128x128xf32>, tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %101 = tosa.reshape %100, %15 : (tensor<8x4x128x128xf32>, !tosa.shape<3>) -> tensor<32x128x128xf32>
    %102 = tosa.reshape %83, %12 : (tensor<8x4x128x64xf32>, !tosa.shape<3>) -> tensor<32x128x64xf32>
    %103 = tosa.matmul %101, %102, %3, %3 : (tensor<32x128x128xf32>, tensor<32x128x64xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<32x128x64xf32>
    %104 = tosa.reshape %103, %16 : (tensor<32x128x64xf32>, !tosa.shape<4>) -> tensor<8x4x128x64xf32>
    %105 = tosa.transpose %104 {perms = array<i32: 0, 2, 1, 3>} : (tensor<8x4x128x64xf32>) -> tensor<8x128x4x64xf32>
    %106 = tosa.reshape %105, %7 : (tensor<8x128x4x64xf32>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %107 = tosa.tile %30, %17 : (tensor<1x256x256xf32>, !tosa.shape<3>) -> tensor<8x256x256xf32>
    %108 = tosa.matmul %106, %107, %3, %3 : (tensor<8x128x256xf32>, tensor<8x256x256xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<8x128x256xf32>
    %109 = tosa.add %108, %31 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>) -> tensor<8x128x256xf32>
    %110 = tosa.add %arg0, %109 : (tensor<8x128x256xf32>, tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %111 = tosa.cast %110 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %112 = tosa.reduce_sum %111 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %113 = tosa.mul %112, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %114 = tosa.sub %111, %113 : (tensor<8x128x256xf64>, tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %115 = tosa.mul %114, %114, %1 : (tensor<8x128x256xf64>, tensor<8x128x256xf64>, tensor<1xi8>) -> tensor<8x128x256xf64>
    %116 = tosa.reduce_sum %115 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %117 = tosa.mul %116, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %118 = tosa.cast %117 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %119 = tosa.reduce_sum %110 {axis = 2 : i32} : (tensor<8x128x256xf32>) -> tensor<8x128x1xf32>
    %120 = tosa.mul %119, %22, %1 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1xf32>
    %121 = tosa.add %118, %23 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1xf32>
    %122 = tosa.rsqrt %121 : (tensor<8x128x1xf32>) -> tensor<8x128x1xf32>
    %123 = tosa.sub %110, %120 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %124 = tosa.mul %123, %122, %1 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %125 = tosa.mul %124, %32, %1 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %126 = tosa.add %125, %33 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>) -> tensor<8x128x256xf32>
    %127 = tosa.reshape %126, %4 : (tensor<8x128x256xf32>, !tosa.shape<3>) -> tensor<1x1024x256xf32>
    %128 = tosa.matmul %127, %34, %3, %3 : (tensor<1x1024x256xf32>, tensor<1x256x1024xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1024x1024xf32>
    %129 = tosa.reshape %128, %18 : (tensor<1x1024x1024xf32>, !tosa.shape<2>) -> tensor<1024x1024xf32>
    %130 = tosa.add %129, %35 : (tensor<1024x1024xf32>, tensor<1x1024xf32>) -> tensor<1024x1024xf32>
    %131 = tosa.reshape %130, %19 : (tensor<1024x1024xf32>, !tosa.shape<3>) -> tensor<8x128x1024xf32>
    %132 = tosa.mul %131, %38, %1 : (tensor<8x128x1024xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1024xf32>
    %133 = tosa.erf %132 : (tensor<8x128x1024xf32>) -> tensor<8x128x1024xf32>
    %134 = tosa.add %133, %36 : (tensor<8x128x1024xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1024xf32>
    %135 = tosa.mul %37, %134, %1 : (tensor<1x1x1xf32>, tensor<8x128x1024xf32>, tensor<1xi8>) -> tensor<8x128x1024xf32>
    %136 = tosa.mul %131, %135, %1 : (tensor<8x128x1024xf32>, tensor<8x128x1024xf32>, tensor<1xi8>) -> tensor<8x128x1024xf32>
    %137 = tosa.reshape %136, %20 : (tensor<8x128x1024xf32>, !tosa.shape<3>) -> tensor<1x1024x1024xf32>
    %138 = tosa.matmul %137, %39, %3, %3 : (tensor<1x1024x1024xf32>, tensor<1x1024x256xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1024x256xf32>
    %139 = tosa.reshape %138, %2 : (tensor<1x1024x256xf32>, !tosa.shape<2>) -> tensor<1024x256xf32>
    %140 = tosa.add %139, %40 : (tensor<1024x256xf32>, tensor<1x256xf32>) -> tensor<1024x256xf32>
    %141 = tosa.reshape %140, %7 : (tensor<1024x256xf32>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %142 = tosa.add %110, %141 : (tensor<8x128x256xf32>, tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %143 = tosa.cast %142 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %144 = tosa.reduce_sum %143 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %145 = tosa.mul %144, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %146 = tosa.sub %143, %145 : (tensor<8x128x256xf64>, tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %147 = tosa.mul %146, %146, %1 : (tensor<8x128x256xf64>, tensor<8x128x256xf64>, tensor<1xi8>) -> tensor<8x128x256xf64>
    %148 = tosa.reduce_sum %147 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %149 = tosa.mul %148, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %150 = tosa.cast %149 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %151 = tosa.reduce_sum %142 {axis = 2 : i32} : (tensor<8x128x256xf32>) -> tensor<8x128x1xf32>
    %152 = tosa.mul %151, %22, %1 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1xf32>
    %153 = tosa.add %150, %23 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1xf32>
    %154 = tosa.rsqrt %153 : (tensor<8x128x1xf32>) -> tensor<8x128x1xf32>
    %155 = tosa.sub %142, %152 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %156 = tosa.mul %155, %154, %1 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %157 = tosa.mul %156, %41, %1 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %158 = tosa.add %157, %42 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>) -> tensor<8x128x256xf32>
    %159 = tosa.reshape %158, %4 : (tensor<8x128x256xf32>, !tosa.shape<3>) -> tensor<1x1024x256xf32>
    %160 = tosa.matmul %159, %43, %3, %3 : (tensor<1x1024x256xf32>, tensor<1x256x768xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1024x768xf32>
    %161 = tosa.reshape %160, %5 : (tensor<1x1024x768xf32>, !tosa.shape<2>) -> tensor<1024x768xf32>
    %162 = tosa.add %161, %44 : (tensor<1024x768xf32>, tensor<1x768xf32>) -> tensor<1024x768xf32>
    %163 = tosa.reshape %162, %6 : (tensor<1024x768xf32>, !tosa.shape<3>) -> tensor<8x128x768xf32>
    %164 = tosa.slice %163, %8, %7 : (tensor<8x128x768xf32>, !tosa.shape<3>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %165 = tosa.slice %163, %9, %7 : (tensor<8x128x768xf32>, !tosa.shape<3>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %166 = tosa.slice %163, %10, %7 : (tensor<8x128x768xf32>, !tosa.shape<3>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %167 = tosa.reshape %164, %11 : (tensor<8x128x256xf32>, !tosa.shape<4>) -> tensor<8x128x4x64xf32>
    %168 = tosa.transpose %167 {perms = array<i32: 0, 2, 1, 3>} : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %169 = tosa.reshape %165, %11 : (tensor<8x128x256xf32>, !tosa.shape<4>) -> tensor<8x128x4x64xf32>
    %170 = tosa.reshape %166, %11 : (tensor<8x128x256xf32>, !tosa.shape<4>) -> tensor<8x128x4x64xf32>
    %171 = tosa.transpose %170 {perms = array<i32: 0, 2, 1, 3>} : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %172 = tosa.mul %168, %28, %1 : (tensor<8x4x128x64xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<8x4x128x64xf32>
    %173 = tosa.transpose %169 {perms = array<i32: 0, 2, 3, 1>} : (tensor<8x128x4x64xf32>) -> tensor<8x4x64x128xf32>
    %174 = tosa.mul %173, %28, %1 : (tensor<8x4x64x128xf32>, tensor<1x1x1x1xf32>, tensor<1xi8>) -> tensor<8x4x64x128xf32>
    %175 = tosa.reshape %172, %12 : (tensor<8x4x128x64xf32>, !tosa.shape<3>) -> tensor<32x128x64xf32>
    %176 = tosa.reshape %174, %13 : (tensor<8x4x64x128xf32>, !tosa.shape<3>) -> tensor<32x64x128xf32>
    %177 = tosa.matmul %175, %176, %3, %3 : (tensor<32x128x64xf32>, tensor<32x64x128xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<32x128x128xf32>
    %178 = tosa.reshape %177, %14 : (tensor<32x128x128xf32>, !tosa.shape<4>) -> tensor<8x4x128x128xf32>
    %179 = tosa.reduce_max %178 {axis = 3 : i32} : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x1xf32>
    %180 = tosa.sub %178, %179 : (tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>) -> tensor<8x4x128x128xf32>
    %181 = tosa.exp %180 : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %182 = tosa.reduce_sum %181 {axis = 3 : i32} : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x1xf32>
    %183 = tosa.reciprocal %182 : (tensor<8x4x128x1xf32>) -> tensor<8x4x128x1xf32>
    %184 = tosa.mul %181, %183, %1 : (tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>, tensor<1xi8>) -> tensor<8x4x128x128xf32>
    %185 = tosa.cast %178 : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf64>
    %186 = tosa.equal %185, %29 : (tensor<8x4x128x128xf64>, tensor<1x1x1x1xf64>) -> tensor<8x4x128x128xi1>
    %187 = tosa.reduce_all %186 {axis = 3 : i32} : (tensor<8x4x128x128xi1>) -> tensor<8x4x128x1xi1>
    %188 = tosa.select %187, %0, %184 : (tensor<8x4x128x1xi1>, tensor<8x4x128x128xf32>, tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %189 = tosa.reshape %188, %15 : (tensor<8x4x128x128xf32>, !tosa.shape<3>) -> tensor<32x128x128xf32>
    %190 = tosa.reshape %171, %12 : (tensor<8x4x128x64xf32>, !tosa.shape<3>) -> tensor<32x128x64xf32>
    %191 = tosa.matmul %189, %190, %3, %3 : (tensor<32x128x128xf32>, tensor<32x128x64xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<32x128x64xf32>
    %192 = tosa.reshape %191, %16 : (tensor<32x128x64xf32>, !tosa.shape<4>) -> tensor<8x4x128x64xf32>
    %193 = tosa.transpose %192 {perms = array<i32: 0, 2, 1, 3>} : (tensor<8x4x128x64xf32>) -> tensor<8x128x4x64xf32>
    %194 = tosa.reshape %193, %7 : (tensor<8x128x4x64xf32>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %195 = tosa.tile %45, %17 : (tensor<1x256x256xf32>, !tosa.shape<3>) -> tensor<8x256x256xf32>
    %196 = tosa.matmul %194, %195, %3, %3 : (tensor<8x128x256xf32>, tensor<8x256x256xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<8x128x256xf32>
    %197 = tosa.add %196, %46 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>) -> tensor<8x128x256xf32>
    %198 = tosa.add %142, %197 : (tensor<8x128x256xf32>, tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %199 = tosa.cast %198 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %200 = tosa.reduce_sum %199 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %201 = tosa.mul %200, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %202 = tosa.sub %199, %201 : (tensor<8x128x256xf64>, tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %203 = tosa.mul %202, %202, %1 : (tensor<8x128x256xf64>, tensor<8x128x256xf64>, tensor<1xi8>) -> tensor<8x128x256xf64>
    %204 = tosa.reduce_sum %203 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %205 = tosa.mul %204, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %206 = tosa.cast %205 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %207 = tosa.reduce_sum %198 {axis = 2 : i32} : (tensor<8x128x256xf32>) -> tensor<8x128x1xf32>
    %208 = tosa.mul %207, %22, %1 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1xf32>
    %209 = tosa.add %206, %23 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1xf32>
    %210 = tosa.rsqrt %209 : (tensor<8x128x1xf32>) -> tensor<8x128x1xf32>
    %211 = tosa.sub %198, %208 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %212 = tosa.mul %211, %210, %1 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %213 = tosa.mul %212, %47, %1 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %214 = tosa.add %213, %48 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>) -> tensor<8x128x256xf32>
    %215 = tosa.reshape %214, %4 : (tensor<8x128x256xf32>, !tosa.shape<3>) -> tensor<1x1024x256xf32>
    %216 = tosa.matmul %215, %49, %3, %3 : (tensor<1x1024x256xf32>, tensor<1x256x1024xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1024x1024xf32>
    %217 = tosa.reshape %216, %18 : (tensor<1x1024x1024xf32>, !tosa.shape<2>) -> tensor<1024x1024xf32>
    %218 = tosa.add %217, %50 : (tensor<1024x1024xf32>, tensor<1x1024xf32>) -> tensor<1024x1024xf32>
    %219 = tosa.reshape %218, %19 : (tensor<1024x1024xf32>, !tosa.shape<3>) -> tensor<8x128x1024xf32>
    %220 = tosa.mul %219, %38, %1 : (tensor<8x128x1024xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1024xf32>
    %221 = tosa.erf %220 : (tensor<8x128x1024xf32>) -> tensor<8x128x1024xf32>
    %222 = tosa.add %221, %36 : (tensor<8x128x1024xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1024xf32>
    %223 = tosa.mul %37, %222, %1 : (tensor<1x1x1xf32>, tensor<8x128x1024xf32>, tensor<1xi8>) -> tensor<8x128x1024xf32>
    %224 = tosa.mul %219, %223, %1 : (tensor<8x128x1024xf32>, tensor<8x128x1024xf32>, tensor<1xi8>) -> tensor<8x128x1024xf32>
    %225 = tosa.reshape %224, %20 : (tensor<8x128x1024xf32>, !tosa.shape<3>) -> tensor<1x1024x1024xf32>
    %226 = tosa.matmul %225, %51, %3, %3 : (tensor<1x1024x1024xf32>, tensor<1x1024x256xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1024x256xf32>
    %227 = tosa.reshape %226, %2 : (tensor<1x1024x256xf32>, !tosa.shape<2>) -> tensor<1024x256xf32>
    %228 = tosa.add %227, %52 : (tensor<1024x256xf32>, tensor<1x256xf32>) -> tensor<1024x256xf32>
    %229 = tosa.reshape %228, %7 : (tensor<1024x256xf32>, !tosa.shape<3>) -> tensor<8x128x256xf32>
    %230 = tosa.add %198, %229 : (tensor<8x128x256xf32>, tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %231 = tosa.cast %230 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %232 = tosa.reduce_sum %231 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %233 = tosa.mul %232, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %234 = tosa.sub %231, %233 : (tensor<8x128x256xf64>, tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %235 = tosa.mul %234, %234, %1 : (tensor<8x128x256xf64>, tensor<8x128x256xf64>, tensor<1xi8>) -> tensor<8x128x256xf64>
    %236 = tosa.reduce_sum %235 {axis = 2 : i32} : (tensor<8x128x256xf64>) -> tensor<8x128x1xf64>
    %237 = tosa.mul %236, %21, %1 : (tensor<8x128x1xf64>, tensor<1x1x1xf64>, tensor<1xi8>) -> tensor<8x128x1xf64>
    %238 = tosa.cast %237 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %239 = tosa.reduce_sum %230 {axis = 2 : i32} : (tensor<8x128x256xf32>) -> tensor<8x128x1xf32>
    %240 = tosa.mul %239, %22, %1 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<8x128x1xf32>
    %241 = tosa.add %238, %23 : (tensor<8x128x1xf32>, tensor<1x1x1xf32>) -> tensor<8x128x1xf32>
    %242 = tosa.rsqrt %241 : (tensor<8x128x1xf32>) -> tensor<8x128x1xf32>
    %243 = tosa.sub %230, %240 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %244 = tosa.mul %243, %242, %1 : (tensor<8x128x256xf32>, tensor<8x128x1xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %245 = tosa.mul %244, %53, %1 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>, tensor<1xi8>) -> tensor<8x128x256xf32>
    %246 = tosa.add %245, %54 : (tensor<8x128x256xf32>, tensor<1x1x256xf32>) -> tensor<8x128x256xf32>
    return %246 : tensor<8x128x256xf32>
  }
}

