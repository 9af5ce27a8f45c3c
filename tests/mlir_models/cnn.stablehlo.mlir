module {
  func.func @main(%arg0: tensor<8x3x224x224xf32>) -> tensor<8x100xf32> {
    %cst = stablehlo.constant dense_resource<__elided__> : tensor<100xf32>
    %cst_0 = stablehlo.constant dense_resource<__elided__> : tensor<100x64xf32>
    %cst_1 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_2 = stablehlo.constant dense_resource<__elided__> : tensor<64x1x3x3xf32>
    %cst_3 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_4 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_5 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_6 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_7 = stablehlo.constant dense_resource<__elided__> : tensor<64x64x3x3xf32>
    %cst_8 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_9 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_10 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_11 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_12 = stablehlo.constant dense_resource<__elided__> : tensor<64x64x3x3xf32>
    %cst_13 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_14 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_15 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_16 = stablehlo.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_17 = stablehlo.constant dense_resource<__elided__> : tensor<64x3x7x7xf32>
    %cst_18 = stablehlo.constant dense<1.000000e+00> : tensor<64xf32>
    %cst_19 = stablehlo.constant dense<0.000000e+00> : tensor<8x64x112x112xf32>
    %cst_20 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %cst_21 = stablehlo.constant dense<0.000000e+00> : tensor<8x64x56x56xf32>
    %cst_22 = stablehlo.constant dense<0.000000e+00> : tensor<8x64x28x28xf32>
    %cst_23 = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %cst_24 = arith.constant dense<1.000000e-05> : tensor<1xf64>
    %cst_25 = arith.constant dense<1> : tensor<1xi64>
    %cst_26 = arith.constant dense<784> : tensor<1xi64>
    %0 = stablehlo.convolution(%arg0, %cst_17) dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1], window = {stride = [2, 2], pad = [[3, 3], [3, 3]], rhs_dilate = [1, 1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<8x3x224x224xf32>, tensor<64x3x7x7xf32>) -> tensor<8x64x112x112xf32>
    %1 = stablehlo.convert %cst_24 : (tensor<1xf64>) -> tensor<1xf32>
    %2 = stablehlo.reshape %1 : (tensor<1xf32>) -> tensor<f32>
    %3 = stablehlo.broadcast_in_dim %2, dims = [] : (tensor<f32>) -> tensor<64xf32>
    %4 = stablehlo.add %3, %cst_15 : tensor<64xf32>
    %5 = stablehlo.sqrt %4 : tensor<64xf32>
    %6 = stablehlo.divide %cst_18, %5 : tensor<64xf32>
    %7 = stablehlo.convert %cst_25 : (tensor<1xi64>) -> tensor<1xf32>
    %8 = stablehlo.reshape %7 : (tensor<1xf32>) -> tensor<f32>
    %9 = stablehlo.broadcast_in_dim %8, dims = [] : (tensor<f32>) -> tensor<64xf32>
    %10 = stablehlo.multiply %6, %9 : tensor<64xf32>
    %11 = stablehlo.reshape %cst_16 : (tensor<64xf32>) -> tensor<64x1xf32>
    %12 = stablehlo.reshape %11 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %13 = stablehlo.reshape %10 : (tensor<64xf32>) -> tensor<64x1xf32>
    %14 = stablehlo.reshape %13 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %15 = stablehlo.broadcast_in_dim %12, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x112x112xf32>
    %16 = stablehlo.subtract %0, %15 : tensor<8x64x112x112xf32>
    %17 = stablehlo.broadcast_in_dim %14, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x112x112xf32>
    %18 = stablehlo.multiply %16, %17 : tensor<8x64x112x112xf32>
    %19 = stablehlo.reshape %cst_14 : (tensor<64xf32>) -> tensor<64x1xf32>
    %20 = stablehlo.reshape %19 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %21 = stablehlo.broadcast_in_dim %20, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x112x112xf32>
    %22 = stablehlo.multiply %18, %21 : tensor<8x64x112x112xf32>
    %23 = stablehlo.reshape %cst_13 : (tensor<64xf32>) -> tensor<64x1xf32>
    %24 = stablehlo.reshape %23 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %25 = stablehlo.broadcast_in_dim %24, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x112x112xf32>
    %26 = stablehlo.add %22, %25 : tensor<8x64x112x112xf32>
    %27 = stablehlo.maximum %26, %cst_19 : tensor<8x64x112x112xf32>
    %28 = "stablehlo.reduce_window"(%27, %cst_20) <{padding = dense<[[0, 0], [0, 0], [1, 1], [1, 1]]> : tensor<4x2xi64>, window_dilations = array<i64: 1, 1, 1, 1>, window_dimensions = array<i64: 1, 1, 3, 3>, window_strides = array<i64: 1, 1, 2, 2>}> ({
    ^bb0(%arg1: tensor<f32>, %arg2: tensor<f32>):
      %92 = stablehlo.maximum %arg1, %arg2 : tensor<f32>
      stablehlo.return %92 : tensor<f32>
    }) : (tensor<8x64x112x112xf32>, tensor<f32>) -> tensor<8x64x56x56xf32>
    %29 = stablehlo.convolution(%28, %cst_12) dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1], window = {stride = [1, 1], pad = [[1, 1], [1, 1]], rhs_dilate = [1, 1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<8x64x56x56xf32>, tensor<64x64x3x3xf32>) -> tensor<8x64x56x56xf32>
    %30 = stablehlo.add %3, %cst_10 : tensor<64xf32>
    %31 = stablehlo.sqrt %30 : tensor<64xf32>
    %32 = stablehlo.divide %cst_18, %31 : tensor<64xf32>
    %33 = stablehlo.multiply %32, %9 : tensor<64xf32>
    %34 = stablehlo.reshape %cst_11 : (tensor<64xf32>) -> tensor<64x1xf32>
    %35 = stablehlo.reshape %34 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %36 = stablehlo.reshape %33 : (tensor<64xf32>) -> tensor<64x1xf32>
    %37 = stablehlo.reshape %36 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %38 = stablehlo.broadcast_in_dim %35, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %39 = stablehlo.subtract %29, %38 : tensor<8x64x56x56xf32>
    %40 = stablehlo.broadcast_in_dim %37, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %41 = stablehlo.multiply %39, %40 : tensor<8x64x56x56xf32>
    %42 = stablehlo.reshape %cst_9 : (tensor<64xf32>) -> tensor<64x1xf32>
    %43 = stablehlo.reshape %42 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %44 = stablehlo.broadcast_in_dim %43, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %45 = stablehlo.multiply %41, %44 : tensor<8x64x56x56xf32>
    %46 = stablehlo.reshape %cst_8 : (tensor<64xf32>) -> tensor<64x1xf32>
    %47 = stablehlo.reshape %46 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %48 = stablehlo.broadcast_in_dim %47, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %49 = stablehlo.add %45, %48 : tensor<8x64x56x56xf32>
    %50 = stablehlo.maximum %49, %cst_21 : tensor<8x64x56x56xf32>
    %51 = stablehlo.convolution(%50, %cst_7) dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1], window = {stride = [1, 1], pad = [[1, 1], [1, 1]], rhs_dilate = [1, 1]} {batch_group_count = 1 : i64, feature_group_count = 1 : i64} : (tensor<8x64x56x56xf32>, tensor<64x64x3x3xf32>) -> tensor<8x64x56x56xf32>
    %52 = stablehlo.add %3, %cst_5 : tensor<64xf32>
    %53 = stablehlo.sqrt %52 : tensor<64xf32>
    %54 = stablehlo.divide %cst_18, %53 : tensor<64xf32>
    %55 = stablehlo.multiply %54, %9 : tensor<64xf32>
    %56 = stablehlo.reshape %cst_6 : (tensor<64xf32>) -> tensor<64x1xf32>
    %57 = stablehlo.reshape %56 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %58 = stablehlo.reshape %55 : (tensor<64xf32>) -> tensor<64x1xf32>
    %59 = stablehlo.reshape %58 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %60 = stablehlo.broadcast_in_dim %57, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %61 = stablehlo.subtract %51, %60 : tensor<8x64x56x56xf32>
    %62 = stablehlo.broadcast_in_dim %59, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %63 = stablehlo.multiply %61, %62 : tensor<8x64x56x56xf32>
    %64 = stablehlo.reshape %cst_4 : (tensor<64xf32>) -> tensor<64x1xf32>
    %65 = stablehlo.reshape %64 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %66 = stablehlo.broadcast_in_dim %65, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %67 = stablehlo.multiply %63, %66 : tensor<8x64x56x56xf32>
    %68 = stablehlo.reshape %cst_3 : (tensor<64xf32>) -> tensor<64x1xf32>
    %69 = stablehlo.reshape %68 : (tensor<64x1xf32>) -> tensor<64x1x1xf32>
    %70 = stablehlo.broadcast_in_dim %69, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %71 = stablehlo.add %67, %70 : tensor<8x64x56x56xf32>
    %72 = stablehlo.add %71, %28 : tensor<8x64x56x56xf32>
    %73 = stablehlo.maximum %72, %cst_21 : tensor<8x64x56x56xf32>
    %74 = stablehlo.convolution(%73, %cst_2) dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1], window = {stride = [2, 2], pad = [[1, 1], [1, 1]], rhs_dilate = [1, 1]} {batch_group_count = 1 : i64, feature_group_count = 64 : i64} : (tensor<8x64x56x56xf32>, tensor<64x1x3x3xf32>) -> tensor<8x64x28x28xf32>
    %75 = stablehlo.reshape %cst_1 : (tensor<64xf32>) -> tensor<64x1x1xf32>
    %76 = stablehlo.broadcast_in_dim %75, dims = [1, 2, 3] : (tensor<64x1x1xf32>) -> tensor<8x64x28x28xf32>
    %77 = stablehlo.add %74, %76 : tensor<8x64x28x28xf32>
    %78 = stablehlo.maximum %77, %cst_22 : tensor<8x64x28x28xf32>
    %79 = stablehlo.reduce(%78 init: %cst_23) applies stablehlo.add across dimensions = [2, 3] : (tensor<8x64x28x28xf32>, tensor<f32>) -> tensor<8x64xf32>
    %80 = stablehlo.convert %cst_26 : (tensor<1xi64>) -> tensor<1xf32>
    %81 = stablehlo.reshape %80 : (tensor<1xf32>) -> tensor<f32>
    %82 = stablehlo.broadcast_in_dim %81, dims = [] : (tensor<f32>) -> tensor<8x64xf32>
    %83 = stablehlo.divide %79, %82 : tensor<8x64xf32>
    %84 = stablehlo.transpose %cst_0, dims = [1, 0] : (tensor<100x64xf32>) -> tensor<64x100xf32>
    %85 = stablehlo.dot_general %83, %84, contracting_dims = [1] x [0] : (tensor<8x64xf32>, tensor<64x100xf32>) -> tensor<8x100xf32>
    %86 = stablehlo.broadcast_in_dim %8, dims = [] : (tensor<f32>) -> tensor<8x100xf32>
    %87 = stablehlo.multiply %85, %86 : tensor<8x100xf32>
    %88 = stablehlo.broadcast_in_dim %8, dims = [] : (tensor<f32>) -> tensor<100xf32>
    %89 = stablehlo.multiply %88, %cst : tensor<100xf32>
    %90 = stablehlo.broadcast_in_dim %89, dims = [1] : (tensor<100xf32>) -> tensor<8x100xf32>
    %91 = stablehlo.add %87, %90 : tensor<8x100xf32>
    return %91 : tensor<8x100xf32>
  }
}

