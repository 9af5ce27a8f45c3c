#map = affine_map<(d0) -> (d0)>
#map1 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map2 = affine_map<(d0, d1, d2, d3) -> (d1, 0, 0)>
#map3 = affine_map<(d0, d1, d2, d3) -> (d0, d1)>
#map4 = affine_map<(d0, d1) -> (d0, d1)>
#map5 = affine_map<(d0, d1) -> (d1)>
module {
  func.func @main(%arg0: tensor<8x3x224x224xf32>) -> tensor<8x100xf32> {
    %cst = arith.constant 0.000000e+00 : f32
    %cst_0 = arith.constant 1.000000e+00 : f32
    %cst_1 = arith.constant 0xFF800000 : f32
    %cst_2 = arith.constant dense_resource<__elided__> : tensor<100xf32>
    %cst_3 = arith.constant dense_resource<__elided__> : tensor<100x64xf32>
    %cst_4 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_5 = arith.constant dense_resource<__elided__> : tensor<64x1x3x3xf32>
    %cst_6 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_7 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_8 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_9 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_10 = arith.constant dense_resource<__elided__> : tensor<64x64x3x3xf32>
    %cst_11 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_12 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_13 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_14 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_15 = arith.constant dense_resource<__elided__> : tensor<64x64x3x3xf32>
    %cst_16 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_17 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_18 = arith.constant 1.000000e-05 : f64
    %cst_19 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_20 = arith.constant dense_resource<__elided__> : tensor<64xf32>
    %cst_21 = arith.constant dense_resource<__elided__> : tensor<64x3x7x7xf32>
    %cst_22 = arith.constant 7.840000e+02 : f32
    %padded = tensor.pad %arg0 low[0, 0, 3, 3] high[0, 0, 3, 3] {
    ^bb0(%arg1: index, %arg2: index, %arg3: index, %arg4: index):
      tensor.yield %cst : f32
    } : tensor<8x3x224x224xf32> to tensor<8x3x230x230xf32>
    %0 = tensor.empty() : tensor<8x64x112x112xf32>
    %1 = linalg.fill ins(%cst : f32) outs(%0 : tensor<8x64x112x112xf32>) -> tensor<8x64x112x112xf32>
    %2 = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>} ins(%padded, %cst_21 : tensor<8x3x230x230xf32>, tensor<64x3x7x7xf32>) outs(%1 : tensor<8x64x112x112xf32>) -> tensor<8x64x112x112xf32>
    %3 = tensor.empty() : tensor<64xf32>
    %4 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%cst_19 : tensor<64xf32>) outs(%3 : tensor<64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.truncf %cst_18 : f64 to f32
      %49 = arith.addf %in, %48 : f32
      linalg.yield %49 : f32
    } -> tensor<64xf32>
    %5 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%4 : tensor<64xf32>) outs(%3 : tensor<64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = math.sqrt %in : f32
      linalg.yield %48 : f32
    } -> tensor<64xf32>
    %6 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%5 : tensor<64xf32>) outs(%3 : tensor<64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.cmpf one, %in, %cst : f32
      cf.assert %48, "unimplemented: tensor with zero element"
      %49 = arith.divf %cst_0, %in : f32
      linalg.yield %49 : f32
    } -> tensor<64xf32>
    %expanded = tensor.expand_shape %cst_20 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %expanded_23 = tensor.expand_shape %6 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %7 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%2, %expanded : tensor<8x64x112x112xf32>, tensor<64x1x1xf32>) outs(%0 : tensor<8x64x112x112xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.subf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x112x112xf32>
    %8 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%7, %expanded_23 : tensor<8x64x112x112xf32>, tensor<64x1x1xf32>) outs(%0 : tensor<8x64x112x112xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.mulf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x112x112xf32>
    %expanded_24 = tensor.expand_shape %cst_17 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %9 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%8, %expanded_24 : tensor<8x64x112x112xf32>, tensor<64x1x1xf32>) outs(%0 : tensor<8x64x112x112xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.mulf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x112x112xf32>
    %expanded_25 = tensor.expand_shape %cst_16 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %10 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%9, %expanded_25 : tensor<8x64x112x112xf32>, tensor<64x1x1xf32>) outs(%0 : tensor<8x64x112x112xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.addf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x112x112xf32>
    %11 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%10 : tensor<8x64x112x112xf32>) outs(%0 : tensor<8x64x112x112xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.cmpf ugt, %in, %cst : f32
      %49 = arith.select %48, %in, %cst : f32
      linalg.yield %49 : f32
    } -> tensor<8x64x112x112xf32>
    %padded_26 = tensor.pad %11 low[0, 0, 1, 1] high[0, 0, 1, 1] {
    ^bb0(%arg1: index, %arg2: index, %arg3: index, %arg4: index):
      tensor.yield %cst_1 : f32
    } : tensor<8x64x112x112xf32> to tensor<8x64x114x114xf32>
    %12 = tensor.empty() : tensor<8x64x56x56xf32>
    %13 = linalg.fill ins(%cst_1 : f32) outs(%12 : tensor<8x64x56x56xf32>) -> tensor<8x64x56x56xf32>
    %14 = tensor.empty() : tensor<3x3xf32>
    %15 = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>} ins(%padded_26, %14 : tensor<8x64x114x114xf32>, tensor<3x3xf32>) outs(%13 : tensor<8x64x56x56xf32>) -> tensor<8x64x56x56xf32>
    %padded_27 = tensor.pad %15 low[0, 0, 1, 1] high[0, 0, 1, 1] {
    ^bb0(%arg1: index, %arg2: index, %arg3: index, %arg4: index):
      tensor.yield %cst : f32
    } : tensor<8x64x56x56xf32> to tensor<8x64x58x58xf32>
    %16 = linalg.fill ins(%cst : f32) outs(%12 : tensor<8x64x56x56xf32>) -> tensor<8x64x56x56xf32>
    %17 = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%padded_27, %cst_15 : tensor<8x64x58x58xf32>, tensor<64x64x3x3xf32>) outs(%16 : tensor<8x64x56x56xf32>) -> tensor<8x64x56x56xf32>
    %18 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%cst_13 : tensor<64xf32>) outs(%3 : tensor<64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.truncf %cst_18 : f64 to f32
      %49 = arith.addf %in, %48 : f32
      linalg.yield %49 : f32
    } -> tensor<64xf32>
    %19 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%18 : tensor<64xf32>) outs(%3 : tensor<64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = math.sqrt %in : f32
      linalg.yield %48 : f32
    } -> tensor<64xf32>
    %20 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%19 : tensor<64xf32>) outs(%3 : tensor<64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.cmpf one, %in, %cst : f32
      cf.assert %48, "unimplemented: tensor with zero element"
      %49 = arith.divf %cst_0, %in : f32
      linalg.yield %49 : f32
    } -> tensor<64xf32>
    %expanded_28 = tensor.expand_shape %cst_14 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %expanded_29 = tensor.expand_shape %20 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %21 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%17, %expanded_28 : tensor<8x64x56x56xf32>, tensor<64x1x1xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.subf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x56x56xf32>
    %22 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%21, %expanded_29 : tensor<8x64x56x56xf32>, tensor<64x1x1xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.mulf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x56x56xf32>
    %expanded_30 = tensor.expand_shape %cst_12 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %23 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%22, %expanded_30 : tensor<8x64x56x56xf32>, tensor<64x1x1xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.mulf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x56x56xf32>
    %expanded_31 = tensor.expand_shape %cst_11 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %24 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%23, %expanded_31 : tensor<8x64x56x56xf32>, tensor<64x1x1xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.addf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x56x56xf32>
    %25 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%24 : tensor<8x64x56x56xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.cmpf ugt, %in, %cst : f32
      %49 = arith.select %48, %in, %cst : f32
      linalg.yield %49 : f32
    } -> tensor<8x64x56x56xf32>
    %padded_32 = tensor.pad %25 low[0, 0, 1, 1] high[0, 0, 1, 1] {
    ^bb0(%arg1: index, %arg2: index, %arg3: index, %arg4: index):
      tensor.yield %cst : f32
    } : tensor<8x64x56x56xf32> to tensor<8x64x58x58xf32>
    %26 = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%padded_32, %cst_10 : tensor<8x64x58x58xf32>, tensor<64x64x3x3xf32>) outs(%16 : tensor<8x64x56x56xf32>) -> tensor<8x64x56x56xf32>
    %27 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%cst_8 : tensor<64xf32>) outs(%3 : tensor<64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.truncf %cst_18 : f64 to f32
      %49 = arith.addf %in, %48 : f32
      linalg.yield %49 : f32
    } -> tensor<64xf32>
    %28 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%27 : tensor<64xf32>) outs(%3 : tensor<64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = math.sqrt %in : f32
      linalg.yield %48 : f32
    } -> tensor<64xf32>
    %29 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%28 : tensor<64xf32>) outs(%3 : tensor<64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.cmpf one, %in, %cst : f32
      cf.assert %48, "unimplemented: tensor with zero element"
      %49 = arith.divf %cst_0, %in : f32
      linalg.yield %49 : f32
    } -> tensor<64xf32>
    %expanded_33 = tensor.expand_shape %cst_9 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %expanded_34 = tensor.expand_shape %29 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %30 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%26, %expanded_33 : tensor<8x64x56x56xf32>, tensor<64x1x1xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.subf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x56x56xf32>
    %31 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%30, %expanded_34 : tensor<8x64x56x56xf32>, tensor<64x1x1xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.mulf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x56x56xf32>
    %expanded_35 = tensor.expand_shape %cst_7 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %32 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%31, %expanded_35 : tensor<8x64x56x56xf32>, tensor<64x1x1xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.mulf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x56x56xf32>
    %expanded_36 = tensor.expand_shape %cst_6 [[0, 1, 2]] output_shape [64, 1, 1] : tensor<64xf32> into tensor<64x1x1xf32>
    %33 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%32, %expanded_36 : tensor<8x64x56x56xf32>, tensor<64x1x1xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.addf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x56x56xf32>
    %34 = linalg.generic {indexing_maps = [#map1, #map1, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%33, %15 : tensor<8x64x56x56xf32>, tensor<8x64x56x56xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.addf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64x56x56xf32>
    %35 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%34 : tensor<8x64x56x56xf32>) outs(%12 : tensor<8x64x56x56xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.cmpf ugt, %in, %cst : f32
      %49 = arith.select %48, %in, %cst : f32
      linalg.yield %49 : f32
    } -> tensor<8x64x56x56xf32>
    %padded_37 = tensor.pad %35 low[0, 0, 1, 1] high[0, 0, 1, 1] {
    ^bb0(%arg1: index, %arg2: index, %arg3: index, %arg4: index):
      tensor.yield %cst : f32
    } : tensor<8x64x56x56xf32> to tensor<8x64x58x58xf32>
    %36 = tensor.empty() : tensor<8x64x28x28xf32>
    %broadcasted = linalg.broadcast ins(%cst_4 : tensor<64xf32>) outs(%36 : tensor<8x64x28x28xf32>) dimensions = [0, 2, 3] 
    %collapsed = tensor.collapse_shape %cst_5 [[0, 1], [2], [3]] : tensor<64x1x3x3xf32> into tensor<64x3x3xf32>
    %37 = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>} ins(%padded_37, %collapsed : tensor<8x64x58x58xf32>, tensor<64x3x3xf32>) outs(%broadcasted : tensor<8x64x28x28xf32>) -> tensor<8x64x28x28xf32>
    %38 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%37 : tensor<8x64x28x28xf32>) outs(%36 : tensor<8x64x28x28xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.cmpf ugt, %in, %cst : f32
      %49 = arith.select %48, %in, %cst : f32
      linalg.yield %49 : f32
    } -> tensor<8x64x28x28xf32>
    %39 = tensor.empty() : tensor<8x64xf32>
    %40 = linalg.fill ins(%cst : f32) outs(%39 : tensor<8x64xf32>) -> tensor<8x64xf32>
    %41 = linalg.generic {indexing_maps = [#map1, #map3], iterator_types = ["parallel", "parallel", "reduction", "reduction"]} ins(%38 : tensor<8x64x28x28xf32>) outs(%40 : tensor<8x64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.addf %in, %out : f32
      linalg.yield %48 : f32
    } -> tensor<8x64xf32>
    %42 = linalg.generic {indexing_maps = [#map4, #map4], iterator_types = ["parallel", "parallel"]} ins(%41 : tensor<8x64xf32>) outs(%39 : tensor<8x64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %48 = arith.divf %in, %cst_22 : f32
      linalg.yield %48 : f32
    } -> tensor<8x64xf32>
    %43 = tensor.empty() : tensor<64x100xf32>
    %transposed = linalg.transpose ins(%cst_3 : tensor<100x64xf32>) outs(%43 : tensor<64x100xf32>) permutation = [1, 0] 
    %44 = tensor.empty() : tensor<8x100xf32>
    %45 = linalg.fill ins(%cst : f32) outs(%44 : tensor<8x100xf32>) -> tensor<8x100xf32>
    %46 = linalg.matmul ins(%42, %transposed : tensor<8x64xf32>, tensor<64x100xf32>) outs(%45 : tensor<8x100xf32>) -> tensor<8x100xf32>
    %47 = linalg.generic {indexing_maps = [#map4, #map5, #map4], iterator_types = ["parallel", "parallel"]} ins(%46, %cst_2 : tensor<8x100xf32>, tensor<100xf32>) outs(%44 : tensor<8x100xf32>) {
    ^bb0(%in: f32, %in_38: f32, %out: f32):
      %48 = arith.addf %in, %in_38 : f32
      linalg.yield %48 : f32
    } -> tensor<8x100xf32>
    return %47 : tensor<8x100xf32>
  }
}

