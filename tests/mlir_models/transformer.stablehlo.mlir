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
    %cst_12 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %cst_13 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %c = stablehlo.constant dense<true> : tensor<i1>
    %cst_14 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %cst_15 = stablehlo.constant dense<1.000000e+00> : tensor<8x128x1024xf32>
    %cst_16 = stablehlo.constant dense<2.000000e+00> : tensor<8x128x1024xf32>
    %cst_17 = stablehlo.constant dense<5.000000e-01> : tensor<8x128x1024xf32>
    %cst_18 = stablehlo.constant dense<-4.000000e+00> : tensor<8x128x1024xf32>
    %cst_19 = stablehlo.constant dense<4.000000e+00> : tensor<8x128x1024xf32>
    %cst_20 = stablehlo.constant dense<-2.72614237E-10> : tensor<8x128x1024xf32>
    %cst_21 = stablehlo.constant dense<2.77068146E-8> : tensor<8x128x1024xf32>
    %cst_22 = stablehlo.constant dense<-2.10102394E-6> : tensor<8x128x1024xf32>
    %cst_23 = stablehlo.constant dense<-5.69250624E-5> : tensor<8x128x1024xf32>
    %cst_24 = stablehlo.constant dense<-7.34990637E-4> : tensor<8x128x1024xf32>
    %cst_25 = stablehlo.constant dense<-2.954600e-03> : tensor<8x128x1024xf32>
    %cst_26 = stablehlo.constant dense<-0.0160960332> : tensor<8x128x1024xf32>
    %cst_27 = stablehlo.constant dense<-1.45660715E-5> : tensor<8x128x1024xf32>
    %cst_28 = stablehlo.constant dense<-2.13374049E-4> : tensor<8x128x1024xf32>
    %cst_29 = stablehlo.constant dense<-0.00168282702> : tensor<8x128x1024xf32>
    %cst_30 = stablehlo.constant dense<-0.00737332925> : tensor<8x128x1024xf32>
    %cst_31 = stablehlo.constant dense<-0.0142647391> : tensor<8x128x1024xf32>
    %cst_32 = stablehlo.constant dense<-1.000000e+00> : tensor<8x128x1024xf32>
    %cst_33 = arith.constant dense<0.35355339059327379> : tensor<1xf64>
    %cst_34 = arith.constant dense<0xFFF0000000000000> : tensor<1xf64>
    %cst_35 = arith.constant dense<1> : tensor<1xi64>
    %cst_36 = arith.constant dense<256> : tensor<1xi64>
    %cst_37 = arith.constant dense<1.000000e-05> : tensor<1xf64>
    %0 = stablehlo.transpose %arg0, dims = [1, 0, 2] : (tensor<8x128x256xf32>) -> tensor<128x8x256xf32>
    %1 = stablehlo.transpose %cst_11, dims = [1, 0] : (tensor<768x256xf32>) -> tensor<256x768xf32>
    %2 = stablehlo.reshape %0 : (tensor<128x8x256xf32>) -> tensor<128x8x256xf32>
    %3 = stablehlo.broadcast_in_dim %1, dims = [1, 2] : (tensor<256x768xf32>) -> tensor<128x256x768xf32>
    %4 = stablehlo.reshape %3 : (tensor<128x256x768xf32>) -> tensor<128x256x768xf32>
    %5 = stablehlo.broadcast_in_dim %4, dims = [0, 1, 2] : (tensor<128x256x768xf32>) -> tensor<128x256x768xf32>
    %6 = stablehlo.dot_general %2, %5, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<128x8x256xf32>, tensor<128x256x768xf32>) -> tensor<128x8x768xf32>
    %7 = stablehlo.reshape %6 : (tensor<128x8x768xf32>) -> tensor<128x8x768xf32>
    %8 = stablehlo.broadcast_in_dim %cst_10, dims = [2] : (tensor<768xf32>) -> tensor<128x8x768xf32>
    %9 = stablehlo.add %7, %8 : tensor<128x8x768xf32>
    %10 = stablehlo.reshape %9 : (tensor<128x8x768xf32>) -> tensor<128x8x3x256xf32>
    %11 = stablehlo.reshape %10 : (tensor<128x8x3x256xf32>) -> tensor<1x128x8x3x256xf32>
    %12 = stablehlo.transpose %11, dims = [3, 1, 2, 0, 4] : (tensor<1x128x8x3x256xf32>) -> tensor<3x128x8x1x256xf32>
    %13 = stablehlo.reshape %12 : (tensor<3x128x8x1x256xf32>) -> tensor<3x128x8x256xf32>
    %14 = stablehlo.slice %13 [0:1, 0:128, 0:8, 0:256] : (tensor<3x128x8x256xf32>) -> tensor<1x128x8x256xf32>
    %15 = stablehlo.reshape %14 : (tensor<1x128x8x256xf32>) -> tensor<128x8x256xf32>
    %16 = stablehlo.slice %13 [1:2, 0:128, 0:8, 0:256] : (tensor<3x128x8x256xf32>) -> tensor<1x128x8x256xf32>
    %17 = stablehlo.reshape %16 : (tensor<1x128x8x256xf32>) -> tensor<128x8x256xf32>
    %18 = stablehlo.slice %13 [2:3, 0:128, 0:8, 0:256] : (tensor<3x128x8x256xf32>) -> tensor<1x128x8x256xf32>
    %19 = stablehlo.reshape %18 : (tensor<1x128x8x256xf32>) -> tensor<128x8x256xf32>
    %20 = stablehlo.reshape %15 : (tensor<128x8x256xf32>) -> tensor<128x32x64xf32>
    %21 = stablehlo.transpose %20, dims = [1, 0, 2] : (tensor<128x32x64xf32>) -> tensor<32x128x64xf32>
    %22 = stablehlo.reshape %17 : (tensor<128x8x256xf32>) -> tensor<128x32x64xf32>
    %23 = stablehlo.transpose %22, dims = [1, 0, 2] : (tensor<128x32x64xf32>) -> tensor<32x128x64xf32>
    %24 = stablehlo.reshape %19 : (tensor<128x8x256xf32>) -> tensor<128x32x64xf32>
    %25 = stablehlo.transpose %24, dims = [1, 0, 2] : (tensor<128x32x64xf32>) -> tensor<32x128x64xf32>
    %26 = stablehlo.reshape %21 : (tensor<32x128x64xf32>) -> tensor<8x4x128x64xf32>
    %27 = stablehlo.reshape %23 : (tensor<32x128x64xf32>) -> tensor<8x4x128x64xf32>
    %28 = stablehlo.reshape %25 : (tensor<32x128x64xf32>) -> tensor<8x4x128x64xf32>
    %29 = stablehlo.convert %cst_33 : (tensor<1xf64>) -> tensor<1xf32>
    %30 = stablehlo.reshape %29 : (tensor<1xf32>) -> tensor<f32>
    %31 = stablehlo.broadcast_in_dim %30, dims = [] : (tensor<f32>) -> tensor<8x4x128x64xf32>
    %32 = stablehlo.multiply %26, %31 : tensor<8x4x128x64xf32>
    %33 = stablehlo.transpose %27, dims = [0, 1, 3, 2] : (tensor<8x4x128x64xf32>) -> tensor<8x4x64x128xf32>
    %34 = stablehlo.broadcast_in_dim %30, dims = [] : (tensor<f32>) -> tensor<8x4x64x128xf32>
    %35 = stablehlo.multiply %33, %34 : tensor<8x4x64x128xf32>
    %36 = stablehlo.reshape %32 : (tensor<8x4x128x64xf32>) -> tensor<32x128x64xf32>
    %37 = stablehlo.reshape %35 : (tensor<8x4x64x128xf32>) -> tensor<32x64x128xf32>
    %38 = stablehlo.broadcast_in_dim %37, dims = [0, 1, 2] : (tensor<32x64x128xf32>) -> tensor<32x64x128xf32>
    %39 = stablehlo.dot_general %36, %38, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<32x128x64xf32>, tensor<32x64x128xf32>) -> tensor<32x128x128xf32>
    %40 = stablehlo.reshape %39 : (tensor<32x128x128xf32>) -> tensor<8x4x128x128xf32>
    %41 = stablehlo.reduce(%40 init: %cst_12) applies stablehlo.maximum across dimensions = [3] : (tensor<8x4x128x128xf32>, tensor<f32>) -> tensor<8x4x128xf32>
    %42 = stablehlo.reshape %41 : (tensor<8x4x128xf32>) -> tensor<8x4x128x1xf32>
    %43 = stablehlo.broadcast_in_dim %42, dims = [0, 1, 2, 3] : (tensor<8x4x128x1xf32>) -> tensor<8x4x128x128xf32>
    %44 = stablehlo.subtract %40, %43 : tensor<8x4x128x128xf32>
    %45 = stablehlo.exponential %44 : tensor<8x4x128x128xf32>
    %46 = stablehlo.reduce(%45 init: %cst_13) applies stablehlo.add across dimensions = [3] : (tensor<8x4x128x128xf32>, tensor<f32>) -> tensor<8x4x128xf32>
    %47 = stablehlo.reshape %46 : (tensor<8x4x128xf32>) -> tensor<8x4x128x1xf32>
    %48 = stablehlo.broadcast_in_dim %47, dims = [0, 1, 2, 3] : (tensor<8x4x128x1xf32>) -> tensor<8x4x128x128xf32>
    %49 = stablehlo.divide %45, %48 : tensor<8x4x128x128xf32>
    %50 = stablehlo.convert %cst_34 : tensor<1xf64>
    %51 = stablehlo.reshape %50 : (tensor<1xf64>) -> tensor<f64>
    %52 = stablehlo.convert %51 : (tensor<f64>) -> tensor<f32>
    %53 = stablehlo.broadcast_in_dim %52, dims = [] : (tensor<f32>) -> tensor<8x4x128x128xf32>
    %54 = stablehlo.compare EQ, %40, %53, FLOAT : (tensor<8x4x128x128xf32>, tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xi1>
    %55 = stablehlo.reduce(%54 init: %c) applies stablehlo.and across dimensions = [3] : (tensor<8x4x128x128xi1>, tensor<i1>) -> tensor<8x4x128xi1>
    %56 = stablehlo.reshape %55 : (tensor<8x4x128xi1>) -> tensor<8x4x128x1xi1>
    %57 = stablehlo.broadcast_in_dim %56, dims = [0, 1, 2, 3] : (tensor<8x4x128x1xi1>) -> tensor<8x4x128x128xi1>
    %58 = stablehlo.broadcast_in_dim %cst, dims = [0, 1, 2, 3] : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %59 = stablehlo.broadcast_in_dim %49, dims = [0, 1, 2, 3] : (tensor<8x4x128x128xf32>) -> tensor<8x4x128x128xf32>
    %60 = stablehlo.select %57, %58, %59 : tensor<8x4x128x128xi1>, tensor<8x4x128x128xf32>
    %61 = stablehlo.reshape %60 : (tensor<8x4x128x128xf32>) -> tensor<32x128x128xf32>
    %62 = stablehlo.reshape %28 : (tensor<8x4x128x64xf32>) -> tensor<32x128x64xf32>
    %63 = stablehlo.broadcast_in_dim %62, dims = [0, 1, 2] : (tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %64 = stablehlo.dot_general %61, %63, batching_dims = [0] x [0], contracting_dims = [2] x [1] : (tensor<32x128x128xf32>, tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %65 = stablehlo.reshape %64 : (tensor<32x128x64xf32>) -> tensor<8x4x128x64xf32>
    %66 = stablehlo.transpose %65, dims = [2, 0, 1, 3] : (tensor<8x4x128x64xf32>) -> tensor<128x8x4x64xf32>
    %67 = stablehlo.transpose %66, dims = [1, 2, 0, 3] : (tensor<128x8x4x64xf32>) -> tensor<8x4x128x64xf32>
    %68 = stablehlo.transpose %67, dims = [2, 0, 1, 3] : (tensor<8x4x128x64xf32>) -> tensor<128x8x4x64xf32>
    %69 = stablehlo.reshape %68 : (tensor<128x8x4x64xf32>) -> tensor<1024x256xf32>
    %70 = stablehlo.transpose %cst_9, dims = [1, 0] : (tensor<256x256xf32>) -> tensor<256x256xf32>
    %71 = stablehlo.dot_general %69, %70, contracting_dims = [1] x [0] : (tensor<1024x256xf32>, tensor<256x256xf32>) -> tensor<1024x256xf32>
    %72 = stablehlo.convert %cst_35 : (tensor<1xi64>) -> tensor<1xf32>
    %73 = stablehlo.reshape %72 : (tensor<1xf32>) -> tensor<f32>
    %74 = stablehlo.broadcast_in_dim %73, dims = [] : (tensor<f32>) -> tensor<1024x256xf32>
    %75 = stablehlo.multiply %71, %74 : tensor<1024x256xf32>
    %76 = stablehlo.broadcast_in_dim %73, dims = [] : (tensor<f32>) -> tensor<256xf32>
    %77 = stablehlo.multiply %76, %cst_8 : tensor<256xf32>
    %78 = stablehlo.broadcast_in_dim %77, dims = [1] : (tensor<256xf32>) -> tensor<1024x256xf32>
    %79 = stablehlo.add %75, %78 : tensor<1024x256xf32>
    %80 = stablehlo.reshape %79 : (tensor<1024x256xf32>) -> tensor<128x8x256xf32>
    %81 = stablehlo.transpose %80, dims = [1, 0, 2] : (tensor<128x8x256xf32>) -> tensor<8x128x256xf32>
    %82 = stablehlo.add %arg0, %81 : tensor<8x128x256xf32>
    %83 = stablehlo.convert %82 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %84 = stablehlo.reduce(%83 init: %cst_14) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %85 = stablehlo.reshape %84 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %86 = stablehlo.convert %cst_36 : (tensor<1xi64>) -> tensor<1xf64>
    %87 = stablehlo.reshape %86 : (tensor<1xf64>) -> tensor<f64>
    %88 = stablehlo.broadcast_in_dim %87, dims = [] : (tensor<f64>) -> tensor<8x128x1xf64>
    %89 = stablehlo.divide %85, %88 : tensor<8x128x1xf64>
    %90 = stablehlo.broadcast_in_dim %89, dims = [0, 1, 2] : (tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %91 = stablehlo.subtract %83, %90 : tensor<8x128x256xf64>
    %92 = stablehlo.multiply %91, %91 : tensor<8x128x256xf64>
    %93 = stablehlo.reduce(%92 init: %cst_14) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %94 = stablehlo.reshape %93 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %95 = stablehlo.divide %94, %88 : tensor<8x128x1xf64>
    %96 = stablehlo.convert %95 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %97 = stablehlo.reduce(%82 init: %cst_13) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf32>, tensor<f32>) -> tensor<8x128xf32>
    %98 = stablehlo.reshape %97 : (tensor<8x128xf32>) -> tensor<8x128x1xf32>
    %99 = stablehlo.convert %cst_36 : (tensor<1xi64>) -> tensor<1xf32>
    %100 = stablehlo.reshape %99 : (tensor<1xf32>) -> tensor<f32>
    %101 = stablehlo.broadcast_in_dim %100, dims = [] : (tensor<f32>) -> tensor<8x128x1xf32>
    %102 = stablehlo.divide %98, %101 : tensor<8x128x1xf32>
    %103 = stablehlo.convert %cst_37 : (tensor<1xf64>) -> tensor<1xf32>
    %104 = stablehlo.reshape %103 : (tensor<1xf32>) -> tensor<f32>
    %105 = stablehlo.broadcast_in_dim %104, dims = [] : (tensor<f32>) -> tensor<8x128x1xf32>
    %106 = stablehlo.add %96, %105 : tensor<8x128x1xf32>
    %107 = stablehlo.rsqrt %106 : tensor<8x128x1xf32>
    %108 = stablehlo.broadcast_in_dim %102, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %109 = stablehlo.subtract %82, %108 : tensor<8x128x256xf32>
    %110 = stablehlo.broadcast_in_dim %107, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %111 = stablehlo.multiply %109, %110 : tensor<8x128x256xf32>
    %112 = stablehlo.broadcast_in_dim %cst_7, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %113 = stablehlo.multiply %111, %112 : tensor<8x128x256xf32>
    %114 = stablehlo.broadcast_in_dim %cst_6, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %115 = stablehlo.add %113, %114 : tensor<8x128x256xf32>
    %116 = stablehlo.reshape %115 : (tensor<8x128x256xf32>) -> tensor<1024x256xf32>
    %117 = stablehlo.transpose %cst_5, dims = [1, 0] : (tensor<1024x256xf32>) -> tensor<256x1024xf32>
    %118 = stablehlo.dot_general %116, %117, contracting_dims = [1] x [0] : (tensor<1024x256xf32>, tensor<256x1024xf32>) -> tensor<1024x1024xf32>
    %119 = stablehlo.broadcast_in_dim %73, dims = [] : (tensor<f32>) -> tensor<1024x1024xf32>
    %120 = stablehlo.multiply %118, %119 : tensor<1024x1024xf32>
    %121 = stablehlo.broadcast_in_dim %73, dims = [] : (tensor<f32>) -> tensor<1024xf32>
    %122 = stablehlo.multiply %121, %cst_4 : tensor<1024xf32>
    %123 = stablehlo.broadcast_in_dim %122, dims = [1] : (tensor<1024xf32>) -> tensor<1024x1024xf32>
    %124 = stablehlo.add %120, %123 : tensor<1024x1024xf32>
    %125 = stablehlo.reshape %124 : (tensor<1024x1024xf32>) -> tensor<8x128x1024xf32>
    %126 = stablehlo.multiply %125, %cst_17 : tensor<8x128x1024xf32>
    %127 = stablehlo.rsqrt %cst_16 : tensor<8x128x1024xf32>
    %128 = stablehlo.multiply %125, %127 : tensor<8x128x1024xf32>
    %129 = stablehlo.clamp %cst_18, %128, %cst_19 : tensor<8x128x1024xf32>
    %130 = stablehlo.multiply %129, %129 : tensor<8x128x1024xf32>
    %131 = stablehlo.multiply %cst_20, %130 : tensor<8x128x1024xf32>
    %132 = stablehlo.add %131, %cst_21 : tensor<8x128x1024xf32>
    %133 = stablehlo.multiply %132, %130 : tensor<8x128x1024xf32>
    %134 = stablehlo.add %133, %cst_22 : tensor<8x128x1024xf32>
    %135 = stablehlo.multiply %134, %130 : tensor<8x128x1024xf32>
    %136 = stablehlo.add %135, %cst_23 : tensor<8x128x1024xf32>
    %137 = stablehlo.multiply %136, %130 : tensor<8x128x1024xf32>
    %138 = stablehlo.add %137, %cst_24 : tensor<8x128x1024xf32>
    %139 = stablehlo.multiply %138, %130 : tensor<8x128x1024xf32>
    %140 = stablehlo.add %139, %cst_25 : tensor<8x128x1024xf32>
    %141 = stablehlo.multiply %140, %130 : tensor<8x128x1024xf32>
    %142 = stablehlo.add %141, %cst_26 : tensor<8x128x1024xf32>
    %143 = stablehlo.multiply %cst_27, %130 : tensor<8x128x1024xf32>
    %144 = stablehlo.add %143, %cst_28 : tensor<8x128x1024xf32>
    %145 = stablehlo.multiply %144, %130 : tensor<8x128x1024xf32>
    %146 = stablehlo.add %145, %cst_29 : tensor<8x128x1024xf32>
    %147 = stablehlo.multiply %146, %130 : tensor<8x128x1024xf32>
    %148 = stablehlo.add %147, %cst_30 : tensor<8x128x1024xf32>
    %149 = stablehlo.multiply %148, %130 : tensor<8x128x1024xf32>
    %150 = stablehlo.add %149, %cst_31 : tensor<8x128x1024xf32>
    %151 = stablehlo.multiply %129, %142 : tensor<8x128x1024xf32>
    %152 = stablehlo.divide %151, %150 : tensor<8x128x1024xf32>
    %153 = stablehlo.clamp %cst_32, %152, %cst_15 : tensor<8x128x1024xf32>
    %154 = stablehlo.add %153, %cst_15 : tensor<8x128x1024xf32>
    %155 = stablehlo.multiply %154, %126 : tensor<8x128x1024xf32>
    %156 = stablehlo.reshape %155 : (tensor<8x128x1024xf32>) -> tensor<1024x1024xf32>
    %157 = stablehlo.transpose %cst_3, dims = [1, 0] : (tensor<256x1024xf32>) -> tensor<1024x256xf32>
    %158 = stablehlo.dot_general %156, %157, contracting_dims = [1] x [0] : (tensor<1024x1024xf32>, tensor<1024x256xf32>) -> tensor<1024x256xf32>
    %159 = stablehlo.multiply %158, %74 : tensor<1024x256xf32>
    %160 = stablehlo.multiply %76, %cst_2 : tensor<256xf32>
    %161 = stablehlo.broadcast_in_dim %160, dims = [1] : (tensor<256xf32>) -> tensor<1024x256xf32>
    %162 = stablehlo.add %159, %161 : tensor<1024x256xf32>
    %163 = stablehlo.reshape %162 : (tensor<1024x256xf32>) -> tensor<8x128x256xf32>
    %164 = stablehlo.add %115, %163 : tensor<8x128x256xf32>
    %165 = stablehlo.convert %164 : (tensor<8x128x256xf32>) -> tensor<8x128x256xf64>
    %166 = stablehlo.reduce(%165 init: %cst_14) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %167 = stablehlo.reshape %166 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %168 = stablehlo.divide %167, %88 : tensor<8x128x1xf64>
    %169 = stablehlo.broadcast_in_dim %168, dims = [0, 1, 2] : (tensor<8x128x1xf64>) -> tensor<8x128x256xf64>
    %170 = stablehlo.subtract %165, %169 : tensor<8x128x256xf64>
    %171 = stablehlo.multiply %170, %170 : tensor<8x128x256xf64>
    %172 = stablehlo.reduce(%171 init: %cst_14) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf64>, tensor<f64>) -> tensor<8x128xf64>
    %173 = stablehlo.reshape %172 : (tensor<8x128xf64>) -> tensor<8x128x1xf64>
    %174 = stablehlo.divide %173, %88 : tensor<8x128x1xf64>
    %175 = stablehlo.convert %174 : (tensor<8x128x1xf64>) -> tensor<8x128x1xf32>
    %176 = stablehlo.reduce(%164 init: %cst_13) applies stablehlo.add across dimensions = [2] : (tensor<8x128x256xf32>, tensor<f32>) -> tensor<8x128xf32>
    %177 = stablehlo.reshape %176 : (tensor<8x128xf32>) -> tensor<8x128x1xf32>
    %178 = stablehlo.divide %177, %101 : tensor<8x128x1xf32>
    %179 = stablehlo.add %175, %105 : tensor<8x128x1xf32>
    %180 = stablehlo.rsqrt %179 : tensor<8x128x1xf32>
    %181 = stablehlo.broadcast_in_dim %178, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %182 = stablehlo.subtract %164, %181 : tensor<8x128x256xf32>
    %183 = stablehlo.broadcast_in_dim %180, dims = [0, 1, 2] : (tensor<8x128x1xf32>) -> tensor<8x128x256xf32>
    %184 = stablehlo.multiply %182, %183 : tensor<8x128x256xf32>
    %185 = stablehlo.broadcast_in_dim %cst_1, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %186 = stablehlo.multiply %184, %185 : tensor<8x128x256xf32>
    %187 = stablehlo.broadcast_in_dim %cst_0, dims = [2] : (tensor<256xf32>) -> tensor<8x128x256xf32>
    %188 = stablehlo.add %186, %187 : tensor<8x128x256xf32>
    return %188 : tensor<8x128x256xf32>
  }
}

