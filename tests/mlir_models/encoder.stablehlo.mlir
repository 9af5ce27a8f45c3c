module {
  func.func @main(%arg0: tensor<8x128x256xf32>) -> tensor<8x128x256xf32> {
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<8x4x128x128xf32>
    %cst_0 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_1 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_2 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_3 = stablehlo.constant dense_resource<__elided__> : tensor<256x1024xf32>
    %cst_4 = stablehlo.constant dense_resource<__elided__> : tensor<1024xf32>
    %cst_5 = stablehlo.constant dense_resource<__elided__> : tensor<1024x256xf32>
    %cst_6 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_7 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_8 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_9 = stablehlo.constant dense_resource<__elided__> : tensor<256x256xf32>
    %cst_10 = stablehlo.constant dense_resource<__elided__> : tensor<768xf32>
    %cst_11 = stablehlo.constant dense_resource<__elided__> : tensor<768x256xf32>
    %cst_12 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_13 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_14 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_15 = stablehlo.constant dense_resource<__elided__> : tensor<256x1024xf32>
    %cst_16 = stablehlo.constant dense_resource<__elided__> : tensor<1024xf32>
    %cst_17 = stablehlo.constant dense_resource<__elided__> : tensor<1024x256xf32>
    %cst_18 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_19 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_20 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_21 = stablehlo.constant dense_resource<__elided__> : tensor<256x256xf32>
    %cst_22 = stablehlo.constant dense_resource<__elided__> : tensor<768xf32>
    %cst_23 = stablehlo.constant dense_resource<__elided__> : tensor<768x256xf32>
    %cst_24 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_25 = stablehlo.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_26 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %cst_27 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %cst_28 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %c = stablehlo.constant dense<true> : tensor<i1>
    %cst_29 = stablehlo.constant dense<1.000000e+00> : tensor<8x128x1024xf32>
    %cst_30 = stablehlo.constant dense<2.000000e+00> : tensor<8x128x1024xf32>
    %cst_31 = stablehlo.constant dense<5.000000e-01> : tensor<8x128x1024xf32>
    %cst_32 = stablehlo.constant dense<-4.000000e+00> : tensor<8x128x1024xf32>
    %cst_33 = stablehlo.constant dense<4.000000e+00> : tensor<8x128x1024xf32>
    %cst_34 = stablehlo.constant dense<-2.72614237E-10> : tensor<8x128x1024xf32>
    %cst_35 = stablehlo.constant dense<2.77068146E-8> : tensor<8x128x1024xf32>
    %cst_36 = stablehlo.constant dense<-2.10102394E-6> : tensor<8x128x1024xf32>
    %cst_37 = stablehlo.constant dense<-5.69250624E-5> : tensor<8x128x1024xf32>
    %cst_38 = stablehlo.constant dense<-7.34990637E-4> : tensor<8x128x1024xf32>
    %cst_39 = stablehlo.constant dense<-2.954600e-03> : tensor<8x128x1024xf32>
    %cst_40 = stablehlo.constant dense<-0.0160960332> : tensor<8x128x1024xf32>
    %cst_41 = stablehlo.constant dense<-1.45660715E-5> : tensor<8x128x1024xf32>
    %cst_42 = stablehlo.constant dense<-2.13374049E-4> : tensor<8x128x1024xf32>
    %cst_43 = stablehlo.constant dense<-0.00168282702> : tensor<8x128x1024xf32>
    %cst_44 = stablehlo.constant dense<-0.00737332925> : tensor<8x128x1024xf32>
    %cst_45 = stablehlo.constant dense<-0.0142647391> : tensor<8x128x1024xf32>
    %cst_46 = stablehlo.constant dense<-1.000000e+00> : tensor<8x128x1024xf32>
    %cst_47 = arith.constant dense<256> : tensor<1xi64>
    %cst_48 = arith.constant dense<1.000000e-05> : tensor<1xf64>
    %cst_49 = arith.constant dense<1> : tensor<1xi64>
    %cst_50 = arith.constant dense<0.35355339059327379> : tensor<1xf64>
    %cst_51 = arith.constant dense<0xFFF0000000000000> : tensor<1xf64>
    %0 = stablehlo.convert %arg0 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %1 = stablehlo.reduce(%0 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %2 = stablehlo.reshape %1 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %3 = stablehlo.convert %cst_47 : (tensor<1xi64>) -> tensor<1xf64>
    %4 = stablehlo.reshape %3 : (tensor<1xf64>) -> tensor<f64>
    %5 = stablehlo.broadcast_in_dim %4, dims = [] : (tensor<f64>) -> tensor<8x128x1xf64>
    %6 = stablehlo.divide %2, %5 : tensor<8x128x1xf64>
    %7 = stablehlo.broadcast_in_dim %6, dims = [0, 1, 2] : (tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %8 = stablehlo.subtract %0, %7 : tensor<8x128x256xf64>
    %9 = stablehlo.multiply %8, %8 : tensor<8x128x256xf64>
    %10 = stablehlo.reduce(%9 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %11 = stablehlo.reshape %10 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %12 = stablehlo.divide %11, %5 : tensor<8x128x1xf64>
    %13 = stablehlo.convert %12 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %14 = stablehlo.reduce(%arg0 init: %cst_27) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf32>, tensor<f32>) -> tensor<8x128xf32>
    %15 = stablehlo.reshape %14 : (tensor<8x128xf32>) -> tensor<8x128x1xf32>
    %16 = stablehlo.convert %cst_47 : (tensor<1xi64>) -> tensor<1xf32>
    %17 = stablehlo.reshape %16 : (tensor<1xf32>) -> tensor<f32>
    %18 = stablehlo.broadcast_in_dim %17, dims = [] : (tensor<f32>) -> tensor<8x128x1xf32>
    %19 = stablehlo.divide %15, %18 : tensor<8x128x1xf32>
    %20 = stablehlo.convert %cst_48 : (tensor<1xf64>) -> tensor<1xf32>
    %21 = stablehlo.reshape %20 : (tensor<1xf32>) -> tensor<f32>
    %22 = stablehlo.broadcast_in_dim %21, dims = [] : (tensor<f32>) -> tensor<8x128x1xf32>
    %23 = stablehlo.add %13, %22 : tensor<8x128x1xf32>
    %24 = stablehlo.rsqrt %23 : tensor<8x128x1xf32>
    %25 = stablehlo.broadcast_in_dim %19, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %26 = stablehlo.subtract %arg0, %25 : tensor<8x128x256xf32>
    %27 = stablehlo.broadcast_in_dim %24, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %28 = stablehlo.multiply %26, %27 : tensor<8x128x256xf32>
    %29 = stablehlo.broadcast_in_dim %cst_25, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %30 = stablehlo.multiply %28, %29 : tensor<8x128x256xf32>
    %31 = stablehlo.broadcast_in_dim %cst_24, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %32 = stablehlo.add %30, %31 : tensor<8x128x256xf32>
    %33 = stablehlo.reshape %32 : (tensor<8x128x256xf32>) -> tensor<1024x256xf32>
    %34 = stablehlo.transpose %cst_23, dims = [1, 0] : (tensor<768x256xf32>) -> tensor<256x768xf32>
    %35 = stablehlo.dot_general %33, %34, contracting_dims = [1] x [0] : (tensor<1024x256xf32>, tensor<256x768xf32>) -> tensor<1024x768xf32>
    %36 = stablehlo.convert %cst_49 : (tensor<1xi64>) -> tensor<1xf32>
    %37 = stablehlo.reshape %36 : (tensor<1xf32>) -> tensor<f32>
    %38 = stablehlo.broadcast_in_dim %37, dims = [] : (tensor<f32>) -> tensor<1024x768xf32>
    %39 = stablehlo.multiply %35, %38 : tensor<1024x768xf32>
    %40 = stablehlo.broadcast_in_dim %37, dims = [] : (tensor<f32>) -> tensor<768xf32>
    %41 = stablehlo.multiply %40, %cst_22 : tensor<768xf32>
    %42 = stablehlo.broadcast_in_dim %41, dims = [1] : (tensor<768xf32>) -> tensor<1024x768xf32>
    %43 = stablehlo.add %39, %42 : tensor<1024x768xf32>
    %44 = stablehlo.reshape %43 : (tensor<1024x768xf32>) -> tensor<8x128x768xf32>
    %45 = stablehlo.slice %44 [0:8, 0:128, 0:256] : (tensor<8x128x768xf32>) -> tensor<8x128x256xf32>
    %46 = stablehlo.slice %44 [0:8, 0:128, 256:512] : (tensor<8x128x768xf32>) -> tensor<8x128x256xf32>
    %47 = stablehlo.slice %44 [0:8, 0:128, 512:768] : (tensor<8x128x768xf32>) -> tensor<8x128x256xf32>
    %48 = stablehlo.reshape %45 : (tensor<8x128x256xf32>) -> tensor<8x128x4x64xf32>
    %49 = stablehlo.transpose %48, dims = [0, 2, 1, 3] : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %50 = stablehlo.reshape %46 : (tensor<8x128x256xf32>) -> tensor<8x128x4x64xf32>
    %51 = stablehlo.transpose %50, dims = [0, 2, 1, 3] : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %52 = stablehlo.reshape %47 : (tensor<8x128x256xf32>) -> tensor<8x128x4x64xf32>
    %53 = stablehlo.transpose %52, dims = [0, 2, 1, 3] : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %54 = stablehlo.convert %cst_50 : (tensor<1xf64>) -> tensor<1xf32>
    %55 = stablehlo.reshape %54 : (tensor<1xf32>) -> tensor<f32>
    %56 = stablehlo.broadcast_in_dim %55, dims = [] : (tensor<f32>) -> tensor<8x4x128x64xf32>
    %57 = stablehlo.multiply %49, %56 : tensor<8x4x128x64xf32>
    %58 = stablehlo.transpose %51, dims = [0, 1, 3, 2] : (tensor<8x4x128x64xf32>) -> tensor<8x4x64x128xf32>
    %59 = stablehlo.broadcast_in_dim %55, dims = [] : (tensor<f32>) -> tensor<8x4x64x128xf32>
    %60 = stablehlo.multiply %58, %59 : tensor<8x4x64x128xf32>
    %61 = stablehlo.reshape %57 : (tensor<8x4x128x64xf32>) -> tensor<32x128x64xf32>
    %62 = stablehlo.reshape %60 : (tensor<8x4x64x128xf32>) -> tensor<32x64x128xf32>
    %63 = stablehlo.broadcast_in_dim %62, dims = [0, 1, 2] : (tensor<32x64x128xf32>) -> tensor<32x64x128xf32>
    %64 = stablehlo.dot_general %61, %63, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<32x128x64xf32>, tensor<32x64x128xf32>) -> tensor<32x128x128xf32>
    %65 = stablehlo.reshape %64 : (tensor<32x128x128xf32>) -> tensor<8x4x128x128xf32>
    %66 = stablehlo.reduce(%65 init: %cst_28) applies stablehlo.maximum across dimensions = [3] : (tensor<8x4x128x128xf32>, tensor<f32>) -> tensor<8x4x128xf32>
    %67 = stablehlo.reshape %66 : (tensor<8x4x128xf32>) -> tensor<8x4x128x1xf32>
    %68 = stablehlo.broadcast_in_dim %67, dims = [0, 1, 2, 3] : (tensor<8x4x128x1xf32>) -> tensor<8x4x128x128xf32>
    %69 = stablehlo.subtract %65, %68 : tensor<8x4x128x128xf32>
    %70 = stablehlo.exponential %69 : tensor<8x4x128x128xf32>
    %71 = stablehlo.reduce(%70 init: %cst_27) applies stablehlo.add across dimensions = [3] : (tensor<8x4x128x128xf32>, tensor<f32>) -> tensor<8x4x128xf32>
    %72 = stablehlo.reshape %71 : (tensor<8x4x128xf32>) -> tensor<8x4x128x1xf32>
    %73 = stablehlo.broadcast_in_dim %72, dims = [0, 1, 2, 3] : (tensor<8x4x128x1xf32>) -> tensor<8x4x128x128xf32>
    %74 = stablehlo.divide %70, %73 : tensor<8x4x128x128xf32>
    %75 = stablehlo.convert %cst_51 : tensor<1xf64>
    %76 = stablehlo.reshape %75 : (tensor<1xf64>) -> tensor<f64>
    %77 = stablehlo.convert %76 : (tensor<f64>) -> tensor<f32>
    %78 = stablehlo.broadcast_in_dim %77, dims = [] : (tensor<f32>) -> tensor<8x4x128x128xf32>
    %79 = stablehlo.compare EQ, %65, %78, FLOAT : (tensor<8x4x128x128xf32>, tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xi1>
    %80 = stablehlo.reduce(%79 init: %c) applies stablehlo.and across dimensions = [3] : (tensor<8x4x128x128xi1>, tensor<i1>) -> tensor<8x4x128xi1>
    %81 = stablehlo.reshape %80 : (tensor<8x4x128xi1>) -> tensor<8x4x128x1xi1>
    %82 = stablehlo.broadcast_in_dim %81, dims = [0, 1, 2, 3] : (tensor<8x4x128x1xi1>) -> tensor<8x4x128x128xi1>
    %83 = stablehlo.broadcast_in_dim %cst, dims = [0, 1, 2, 3] : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %84 = stablehlo.broadcast_in_dim %74, dims = [0, 1, 2, 3] : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %85 = stablehlo.select %82, %83, %84 : tensor<8x4x128x128xi1>, tensor<8x4x128x128xf32>
    %86 = stablehlo.reshape %85 : (tensor<8x4x128x128xf32>) -> tensor<32x128x128xf32>
    %87 = stablehlo.reshape %53 : (tensor<8x4x128x64xf32>) -> tensor<32x128x64xf32>
    %88 = stablehlo.broadcast_in_dim %87, dims = [0, 1, 2] : (tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %89 = stablehlo.dot_general %86, %88, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<32x128x128xf32>, tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %90 = stablehlo.reshape %89 : (tensor<32x128x64xf32>) -> tensor<8x4x128x64xf32>
    %91 = stablehlo.transpose %90, dims = [2, 0, 1, 3] : (tensor<8x4x128x64xf32>) -> tensor<128x8x4x64xf32>
    %92 = stablehlo.transpose %91, dims = [1, 2, 0, 3] : (tensor<128x8x4x64xf32>) -> tensor<8x4x128x64xf32>
    %93 = stablehlo.transpose %92, dims = [0, 2, 1, 3] : (tensor<8x4x128x64xf32>) -> tensor<8x128x4x64xf32>
    %94 = stablehlo.reshape %93 : (tensor<8x128x4x64xf32>) -> tensor<8x128x256xf32>
    %95 = stablehlo.transpose %cst_21, dims = [1, 0] : (tensor<256x256xf32>) -> tensor<256x256xf32>
    %96 = stablehlo.reshape %94 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %97 = stablehlo.broadcast_in_dim %95, dims = [1, 2] : (tensor<256x256xf32>) -> tensor<8x256x256xf32>
    %98 = stablehlo.reshape %97 : (tensor<8x256x256xf32>) -> tensor<8x256x256xf32>
    %99 = stablehlo.broadcast_in_dim %98, dims = [0, 1, 2] : (tensor<8x256x256xf32>) -> tensor<8x256x256xf32>
    %100 = stablehlo.dot_general %96, %99, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<8x128x256xf32>, tensor<8x256x256xf32>) -> tensor<8x128x256xf32>
    %101 = stablehlo.reshape %100 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %102 = stablehlo.broadcast_in_dim %cst_20, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %103 = stablehlo.add %101, %102 : tensor<8x128x256xf32>
    %104 = stablehlo.add %arg0, %103 : tensor<8x128x256xf32>
    %105 = stablehlo.convert %104 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %106 = stablehlo.reduce(%105 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %107 = stablehlo.reshape %106 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %108 = stablehlo.divide %107, %5 : tensor<8x128x1xf64>
    %109 = stablehlo.broadcast_in_dim %108, dims = [0, 1, 2] : (tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %110 = stablehlo.subtract %105, %109 : tensor<8x128x256xf64>
    %111 = stablehlo.multiply %110, %110 : tensor<8x128x256xf64>
    %112 = stablehlo.reduce(%111 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %113 = stablehlo.reshape %112 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %114 = stablehlo.divide %113, %5 : tensor<8x128x1xf64>
    %115 = stablehlo.convert %114 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %116 = stablehlo.reduce(%104 init: %cst_27) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf32>, tensor<f32>) -> tensor<8x128xf32>
    %117 = stablehlo.reshape %116 : (tensor<8x128xf32>) -> tensor<8x128x1xf32>
    %118 = stablehlo.divide %117, %18 : tensor<8x128x1xf32>
    %119 = stablehlo.add %115, %22 : tensor<8x128x1xf32>
    %120 = stablehlo.rsqrt %119 : tensor<8x128x1xf32>
    %121 = stablehlo.broadcast_in_dim %118, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %122 = stablehlo.subtract %104, %121 : tensor<8x128x256xf32>
    %123 = stablehlo.broadcast_in_dim %120, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %124 = stablehlo.multiply %122, %123 : tensor<8x128x256xf32>
    %125 = stablehlo.broadcast_in_dim %cst_19, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %126 = stablehlo.multiply %124, %125 : tensor<8x128x256xf32>
    %127 = stablehlo.broadcast_in_dim %cst_18, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %128 = stablehlo.add %126, %127 : tensor<8x128x256xf32>
    %129 = stablehlo.reshape %128 : (tensor<8x128x256xf32>) -> tensor<1024x256xf32>
    %130 = stablehlo.transpose %cst_17, dims = [1, 0] : (tensor<1024x256xf32>) -> tensor<256x1024xf32>
    %131 = stablehlo.dot_general %129, %130, contracting_dims = [1] x [0] : (tensor<1024x256xf32>, tensor<256x1024xf32>) -> tensor<1024x1024xf32>
    %132 = stablehlo.broadcast_in_dim %37, dims = [] : (tensor<f32>) -> tensor<1024x1024xf32>
    %133 = stablehlo.multiply %131, %132 : tensor<1024x1024xf32>
    %134 = stablehlo.broadcast_in_dim %37, dims = [] : (tensor<f32>) -> tensor<1024xf32>
    %135 = stablehlo.multiply %134, %cst_16 : tensor<1024xf32>
    %136 = stablehlo.broadcast_in_dim %135, dims = [1] : (tensor<1024xf32>) -> tensor<1024x1024xf32>
    %137 = stablehlo.add %133, %136 : tensor<1024x1024xf32>
    %138 = stablehlo.reshape %137 : (tensor<1024x1024xf32>) -> tensor<8x128x1024xf32>
    %139 = stablehlo.multiply %138, %cst_31 : tensor<8x128x1024xf32>
    %140 = stablehlo.rsqrt %cst_30 : tensor<8x128x1024xf32>
    %141 = stablehlo.multiply %138, %140 : tensor<8x128x1024xf32>
    %142 = stablehlo.clamp %cst_32, %141, %cst_33 : tensor<8x128x1024xf32>
    %143 = stablehlo.multiply %142, %142 : tensor<8x128x1024xf32>
    %144 = stablehlo.multiply %cst_34, %143 : tensor<8x128x1024xf32>
    %145 = stablehlo.add %144, %cst_35 : tensor<8x128x1024xf32>
    %146 = stablehlo.multiply %145, %143 : tensor<8x128x1024xf32>
    %147 = stablehlo.add %146, %cst_36 : tensor<8x128x1024xf32>
    %148 = stablehlo.multiply %147, %143 : tensor<8x128x1024xf32>
    %149 = stablehlo.add %148, %cst_37 : tensor<8x128x1024xf32>
    %150 = stablehlo.multiply %149, %143 : tensor<8x128x1024xf32>
    %151 = stablehlo.add %150, %cst_38 : tensor<8x128x1024xf32>
    %152 = stablehlo.multiply %151, %143 : tensor<8x128x1024xf32>
    %153 = stablehlo.add %152, %cst_39 : tensor<8x128x1024xf32>
    %154 = stablehlo.multiply %153, %143 : tensor<8x128x1024xf32>
    %155 = stablehlo.add %154, %cst_40 : tensor<8x128x1024xf32>
    %156 = stablehlo.multiply %cst_41, %143 : tensor<8x128x1024xf32>
    %157 = stablehlo.add %156, %cst_42 : tensor<8x128x1024xf32>
    %158 = stablehlo.multiply %157, %143 : tensor<8x128x1024xf32>
    %159 = stablehlo.add %158, %cst_43 : tensor<8x128x1024xf32>
    %160 = stablehlo.multiply %159, %143 : tensor<8x128x1024xf32>
    %161 = stablehlo.add %160, %cst_44 : tensor<8x128x1024xf32>
    %162 = stablehlo.multiply %161, %143 : tensor<8x128x1024xf32>
    %163 = stablehlo.add %162, %cst_45 : tensor<8x128x1024xf32>
    %164 = stablehlo.multiply %142, %155 : tensor<8x128x1024xf32>
    %165 = stablehlo.divide %164, %163 : tensor<8x128x1024xf32>
    %166 = stablehlo.clamp %cst_46, %165, %cst_29 : tensor<8x128x1024xf32>
    %167 = stablehlo.add %166, %cst_29 : tensor<8x128x1024xf32>
    %168 = stablehlo.multiply %167, %139 : tensor<8x128x1024xf32>
    %169 = stablehlo.reshape %168 : (tensor<8x128x1024xf32>) -> tensor<1024x1024xf32>
    %170 = stablehlo.transpose %cst_15, dims = [1, 0] : (tensor<256x1024xf32>) -> tensor<1024x256xf32>
    %171 = stablehlo.dot_general %169, %170, contracting_dims = [1] x [0] : (tensor<1024x1024xf32>, tensor<1024x256xf32>) -> tensor<1024x256xf32>
    %172 = stablehlo.broadcast_in_dim %37, dims = [] : (tensor<f32>) -> tensor<1024x256xf32>
    %173 = stablehlo.multiply %171, %172 : tensor<1024x256xf32>
    %174 = stablehlo.broadcast_in_dim %37, dims = [] : (tensor<f32>) -> tensor<256xf32>
    %175 = stablehlo.multiply %174, %cst_14 : tensor<256xf32>
    %176 = stablehlo.broadcast_in_dim %175, dims = [1] : (tensor<256xf32>) -> tensor<1024x256xf32>
    %177 = stablehlo.add %173, %176 : tensor<1024x256xf32>
    %178 = stablehlo.reshape %177 : (tensor<1024x256xf32>) -> tensor<8x128x256xf32>
    %179 = stablehlo.add %104, %178 : tensor<8x128x256xf32>
    %180 = stablehlo.convert %179 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %181 = stablehlo.reduce(%180 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %182 = stablehlo.reshape %181 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %183 = stablehlo.divide %182, %5 : tensor<8x128x1xf64>
    %184 = stablehlo.broadcast_in_dim %183, dims = [0, 1, 2] : (tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %185 = stablehlo.subtract %180, %184 : tensor<8x128x256xf64>
    %186 = stablehlo.multiply %185, %185 : tensor<8x128x256xf64>
    %187 = stablehlo.reduce(%186 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %188 = stablehlo.reshape %187 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %189 = stablehlo.divide %188, %5 : tensor<8x128x1xf64>
    %190 = stablehlo.convert %189 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %191 = stablehlo.reduce(%179 init: %cst_27) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf32>, tensor<f32>) -> tensor<8x128xf32>
    %192 = stablehlo.reshape %191 : (tensor<8x128xf32>) -> tensor<8x128x1xf32>
    %193 = stablehlo.divide %192, %18 : tensor<8x128x1xf32>
    %194 = stablehlo.add %190, %22 : tensor<8x128x1xf32>
    %195 = stablehlo.rsqrt %194 : tensor<8x128x1xf32>
    %196 = stablehlo.broadcast_in_dim %193, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %197 = stablehlo.subtract %179, %196 : tensor<8x128x256xf32>
    %198 = stablehlo.broadcast_in_dim %195, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %199 = stablehlo.multiply %197, %198 : tensor<8x128x256xf32>
    %200 = stablehlo.broadcast_in_dim %cst_13, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %201 = stablehlo.multiply %199, %200 : tensor<8x128x256xf32>
    %202 = stablehlo.broadcast_in_dim %cst_12, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %203 = stablehlo.add %201, %202 : tensor<8x128x256xf32>
    %204 = stablehlo.reshape %203 : (tensor<8x128x256xf32>) -> tensor<1024x256xf32>
    %205 = stablehlo.transpose %cst_11, dims = [1, 0] : (tensor<768x256xf32>) -> tensor<256x768xf32>
    %206 = stablehlo.dot_general %204, %205, contracting_dims = [1] x [0] : (tensor<1024x256xf32>, tensor<256x768xf32>) -> tensor<1024x768xf32>
    %207 = stablehlo.multiply %206, %38 : tensor<1024x768xf32>
    %208 = stablehlo.multiply %40, %cst_10 : tensor<768xf32>
    %209 = stablehlo.broadcast_in_dim %208, dims = [1] : (tensor<768xf32>) -> tensor<1024x768xf32>
    %210 = stablehlo.add %207, %209 : tensor<1024x768xf32>
    %211 = stablehlo.reshape %210 : (tensor<1024x768xf32>) -> tensor<8x128x768xf32>
    %212 = stablehlo.slice %211 [0:8, 0:128, 0:256] : (tensor<8x128x768xf32>) -> tensor<8x128x256xf32>
    %213 = stablehlo.slice %211 [0:8, 0:128, 256:512] : (tensor<8x128x768xf32>) -> tensor<8x128x256xf32>
    %214 = stablehlo.slice %211 [0:8, 0:128, 512:768] : (tensor<8x128x768xf32>) -> tensor<8x128x256xf32>
    %215 = stablehlo.reshape %212 : (tensor<8x128x256xf32>) -> tensor<8x128x4x64xf32>
    %216 = stablehlo.transpose %215, dims = [0, 2, 1, 3] : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %217 = stablehlo.reshape %213 : (tensor<8x128x256xf32>) -> tensor<8x128x4x64xf32>
    %218 = stablehlo.transpose %217, dims = [0, 2, 1, 3] : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %219 = stablehlo.reshape %214 : (tensor<8x128x256xf32>) -> tensor<8x128x4x64xf32>
    %220 = stablehlo.transpose %219, dims = [0, 2, 1, 3] : (tensor<8x128x4x64xf32>) -> tensor<8x4x128x64xf32>
    %221 = stablehlo.multiply %216, %56 : tensor<8x4x128x64xf32>
    %222 = stablehlo.transpose %218, dims = [0, 1, 3, 2] : (tensor<8x4x128x64xf32>) -> tensor<8x4x64x128xf32>
    %223 = stablehlo.multiply %222, %59 : tensor<8x4x64x128xf32>
    %224 = stablehlo.reshape %221 : (tensor<8x4x128x64xf32>) -> tensor<32x128x64xf32>
    %225 = stablehlo.reshape %223 : (tensor<8x4x64x128xf32>) -> tensor<32x64x128xf32>
    %226 = stablehlo.broadcast_in_dim %225, dims = [0, 1, 2] : (tensor<32x64x128xf32>) -> tensor<32x64x128xf32>
    %227 = stablehlo.dot_general %224, %226, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<32x128x64xf32>, tensor<32x64x128xf32>) -> tensor<32x128x128xf32>
    %228 = stablehlo.reshape %227 : (tensor<32x128x128xf32>) -> tensor<8x4x128x128xf32>
    %229 = stablehlo.reduce(%228 init: %cst_28) applies stablehlo.maximum across dimensions = [3] : (tensor<8x4x128x128xf32>, tensor<f32>) -> tensor<8x4x128xf32>
    %230 = stablehlo.reshape %229 : (tensor<8x4x128xf32>) -> tensor<8x4x128x1xf32>
    %231 = stablehlo.broadcast_in_dim %230, dims = [0, 1, 2, 3] : (tensor<8x4x128x1xf32>) -> tensor<8x4x128x128xf32>
    %232 = stablehlo.subtract %228, %231 : tensor<8x4x128x128xf32>
    %233 = stablehlo.exponential %232 : tensor<8x4x128x128xf32>
    %234 = stablehlo.reduce(%233 init: %cst_27) applies stablehlo.add across dimensions = [3] : (tensor<8x4x128x128xf32>, tensor<f32>) -> tensor<8x4x128xf32>
    %235 = stablehlo.reshape %234 : (tensor<8x4x128xf32>) -> tensor<8x4x128x1xf32>
    %236 = stablehlo.broadcast_in_dim %235, dims = [0, 1, 2, 3] : (tensor<8x4x128x1xf32>) -> tensor<8x4x128x128xf32>
    %237 = stablehlo.divide %233, %236 : tensor<8x4x128x128xf32>
    %238 = stablehlo.compare EQ, %228, %78, FLOAT : (tensor<8x4x128x128xf32>, tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xi1>
    %239 = stablehlo.reduce(%238 init: %c) applies stablehlo.and across dimensions = [3] : (tensor<8x4x128x128xi1>, tensor<i1>) -> tensor<8x4x128xi1>
    %240 = stablehlo.reshape %239 : (tensor<8x4x128xi1>) -> tensor<8x4x128x1xi1>
    %241 = stablehlo.broadcast_in_dim %240, dims = [0, 1, 2, 3] : (tensor<8x4x128x1xi1>) -> tensor<8x4x128x128xi1>
    %242 = stablehlo.broadcast_in_dim %237, dims = [0, 1, 2, 3] : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %243 = stablehlo.select %241, %83, %242 : tensor<8x4x128x128xi1>, tensor<8x4x128x128xf32>
    %244 = stablehlo.reshape %243 : (tensor<8x4x128x128xf32>) -> tensor<32x128x128xf32>
    %245 = stablehlo.reshape %220 : (tensor<8x4x128x64xf32>) -> tensor<32x128x64xf32>
    %246 = stablehlo.broadcast_in_dim %245, dims = [0, 1, 2] : (tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %247 = stablehlo.dot_general %244, %246, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<32x128x128xf32>, tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %248 = stablehlo.reshape %247 : (tensor<32x128x64xf32>) -> tensor<8x4x128x64xf32>
    %249 = stablehlo.transpose %248, dims = [2, 0, 1, 3] : (tensor<8x4x128x64xf32>) -> tensor<128x8x4x64xf32>
    %250 = stablehlo.transpose %249, dims = [1, 2, 0, 3] : (tensor<128x8x4x64xf32>) -> tensor<8x4x128x64xf32>
    %251 = stablehlo.transpose %250, dims = [0, 2, 1, 3] : (tensor<8x4x128x64xf32>) -> tensor<8x128x4x64xf32>
    %252 = stablehlo.reshape %251 : (tensor<8x128x4x64xf32>) -> tensor<8x128x256xf32>
    %253 = stablehlo.transpose %cst_9, dims = [1, 0] : (tensor<256x256xf32>) -> tensor<256x256xf32>
    %254 = stablehlo.reshape %252 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %255 = stablehlo.broadcast_in_dim %253, dims = [1, 2] : (tensor<256x256xf32>) -> tensor<8x256x256xf32>
    %256 = stablehlo.reshape %255 : (tensor<8x256x256xf32>) -> tensor<8x256x256xf32>
    %257 = stablehlo.broadcast_in_dim %256, dims = [0, 1, 2] : (tensor<8x256x256xf32>) -> tensor<8x256x256xf32>
    %258 = stablehlo.dot_general %254, %257, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<8x128x256xf32>, tensor<8x256x256xf32>) -> tensor<8x128x256xf32>
    %259 = stablehlo.reshape %258 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %260 = stablehlo.broadcast_in_dim %cst_8, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %261 = stablehlo.add %259, %260 : tensor<8x128x256xf32>
    %262 = stablehlo.add %179, %261 : tensor<8x128x256xf32>
    %263 = stablehlo.convert %262 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %264 = stablehlo.reduce(%263 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %265 = stablehlo.reshape %264 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %266 = stablehlo.divide %265, %5 : tensor<8x128x1xf64>
    %267 = stablehlo.broadcast_in_dim %266, dims = [0, 1, 2] : (tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %268 = stablehlo.subtract %263, %267 : tensor<8x128x256xf64>
    %269 = stablehlo.multiply %268, %268 : tensor<8x128x256xf64>
    %270 = stablehlo.reduce(%269 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %271 = stablehlo.reshape %270 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %272 = stablehlo.divide %271, %5 : tensor<8x128x1xf64>
    %273 = stablehlo.convert %272 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %274 = stablehlo.reduce(%262 init: %cst_27) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf32>, tensor<f32>) -> tensor<8x128xf32>
    %275 = stablehlo.reshape %274 : (tensor<8x128xf32>) -> tensor<8x128x1xf32>
    %276 = stablehlo.divide %275, %18 : tensor<8x128x1xf32>
    %277 = stablehlo.add %273, %22 : tensor<8x128x1xf32>
    %278 = stablehlo.rsqrt %277 : tensor<8x128x1xf32>
    %279 = stablehlo.broadcast_in_dim %276, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %280 = stablehlo.subtract %262, %279 : tensor<8x128x256xf32>
    %281 = stablehlo.broadcast_in_dim %278, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %282 = stablehlo.multiply %280, %281 : tensor<8x128x256xf32>
    %283 = stablehlo.broadcast_in_dim %cst_7, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %284 = stablehlo.multiply %282, %283 : tensor<8x128x256xf32>
    %285 = stablehlo.broadcast_in_dim %cst_6, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %286 = stablehlo.add %284, %285 : tensor<8x128x256xf32>
    %287 = stablehlo.reshape %286 : (tensor<8x128x256xf32>) -> tensor<1024x256xf32>
    %288 = stablehlo.transpose %cst_5, dims = [1, 0] : (tensor<1024x256xf32>) -> tensor<256x1024xf32>
    %289 = stablehlo.dot_general %287, %288, contracting_dims = [1] x [0] : (tensor<1024x256xf32>, tensor<256x1024xf32>) -> tensor<1024x1024xf32>
    %290 = stablehlo.multiply %289, %132 : tensor<1024x1024xf32>
    %291 = stablehlo.multiply %134, %cst_4 : tensor<1024xf32>
    %292 = stablehlo.broadcast_in_dim %291, dims = [1] : (tensor<1024xf32>) -> tensor<1024x1024xf32>
    %293 = stablehlo.add %290, %292 : tensor<1024x1024xf32>
    %294 = stablehlo.reshape %293 : (tensor<1024x1024xf32>) -> tensor<8x128x1024xf32>
    %295 = stablehlo.multiply %294, %cst_31 : tensor<8x128x1024xf32>
    %296 = stablehlo.multiply %294, %140 : tensor<8x128x1024xf32>
    %297 = stablehlo.clamp %cst_32, %296, %cst_33 : tensor<8x128x1024xf32>
    %298 = stablehlo.multiply %297, %297 : tensor<8x128x1024xf32>
    %299 = stablehlo.multiply %cst_34, %298 : tensor<8x128x1024xf32>
    %300 = stablehlo.add %299, %cst_35 : tensor<8x128x1024xf32>
    %301 = stablehlo.multiply %300, %298 : tensor<8x128x1024xf32>
    %302 = stablehlo.add %301, %cst_36 : tensor<8x128x1024xf32>
    %303 = stablehlo.multiply %302, %298 : tensor<8x128x1024xf32>
    %304 = stablehlo.add %303, %cst_37 : tensor<8x128x1024xf32>
    %305 = stablehlo.multiply %304, %298 : tensor<8x128x1024xf32>
    %306 = stablehlo.add %305, %cst_38 : tensor<8x128x1024xf32>
    %307 = stablehlo.multiply %306, %298 : tensor<8x128x1024xf32>
    %308 = stablehlo.add %307, %cst_39 : tensor<8x128x1024xf32>
    %309 = stablehlo.multiply %308, %298 : tensor<8x128x1024xf32>
    %310 = stablehlo.add %309, %cst_40 : tensor<8x128x1024xf32>
    %311 = stablehlo.multiply %cst_41, %298 : tensor<8x128x1024xf32>
    %312 = stablehlo.add %311, %cst_42 : tensor<8x128x1024xf32>
    %313 = stablehlo.multiply %312, %298 : tensor<8x128x1024xf32>
    %314 = stablehlo.add %313, %cst_43 : tensor<8x128x1024xf32>
    %315 = stablehlo.multiply %314, %298 : tensor<8x128x1024xf32>
    %316 = stablehlo.add %315, %cst_44 : tensor<8x128x1024xf32>
    %317 = stablehlo.multiply %316, %298 : tensor<8x128x1024xf32>
    %318 = stablehlo.add %317, %cst_45 : tensor<8x128x1024xf32>
    %319 = stablehlo.multiply %297, %310 : tensor<8x128x1024xf32>
    %320 = stablehlo.divide %319, %318 : tensor<8x128x1024xf32>
    %321 = stablehlo.clamp %cst_46, %320, %cst_29 : tensor<8x128x1024xf32>
    %322 = stablehlo.add %321, %cst_29 : tensor<8x128x1024xf32>
    %323 = stablehlo.multiply %322, %295 : tensor<8x128x1024xf32>
    %324 = stablehlo.reshape %323 : (tensor<8x128x1024xf32>) -> tensor<1024x1024xf32>
    %325 = stablehlo.transpose %cst_3, dims = [1, 0] : (tensor<256x1024xf32>) -> tensor<1024x256xf32>
    %326 = stablehlo.dot_general %324, %325, contracting_dims = [1] x [0] : (tensor<1024x1024xf32>, tensor<1024x256xf32>) -> tensor<1024x256xf32>
    %327 = stablehlo.multiply %326, %172 : tensor<1024x256xf32>
    %328 = stablehlo.multiply %174, %cst_2 : tensor<256xf32>
    %329 = stablehlo.broadcast_in_dim %328, dims = [1] : (tensor<256xf32>) -> tensor<1024x256xf32>
    %330 = stablehlo.add %327, %329 : tensor<1024x256xf32>
    %331 = stablehlo.reshape %330 : (tensor<1024x256xf32>) -> tensor<8x128x256xf32>
    %332 = stablehlo.add %262, %331 : tensor<8x128x256xf32>
    %333 = stablehlo.convert %332 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %334 = stablehlo.reduce(%333 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %335 = stablehlo.reshape %334 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %336 = stablehlo.divide %335, %5 : tensor<8x128x1xf64>
    %337 = stablehlo.broadcast_in_dim %336, dims = [0, 1, 2] : (tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %338 = stablehlo.subtract %333, %337 : tensor<8x128x256xf64>
    %339 = stablehlo.multiply %338, %338 : tensor<8x128x256xf64>
    %340 = stablehlo.reduce(%339 init: %cst_26) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %341 = stablehlo.reshape %340 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %342 = stablehlo.divide %341, %5 : tensor<8x128x1xf64>
    %343 = stablehlo.convert %342 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %344 = stablehlo.reduce(%332 init: %cst_27) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf32>, tensor<f32>) -> tensor<8x128xf32>
    %345 = stablehlo.reshape %344 : (tensor<8x128xf32>) -> tensor<8x128x1xf32>
    %346 = stablehlo.divide %345, %18 : tensor<8x128x1xf32>
    %347 = stablehlo.add %343, %22 : tensor<8x128x1xf32>
    %348 = stablehlo.rsqrt %347 : tensor<8x128x1xf32>
    %349 = stablehlo.broadcast_in_dim %346, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %350 = stablehlo.subtract %332, %349 : tensor<8x128x256xf32>
    %351 = stablehlo.broadcast_in_dim %348, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %352 = stablehlo.multiply %350, %351 : tensor<8x128x256xf32>
    %353 = stablehlo.broadcast_in_dim %cst_1, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %354 = stablehlo.multiply %352, %353 : tensor<8x128x256xf32>
    %355 = stablehlo.broadcast_in_dim %cst_0, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %356 = stablehlo.add %354, %355 : tensor<8x128x256xf32>
    return %356 : tensor<8x128x256xf32>
  }
}

