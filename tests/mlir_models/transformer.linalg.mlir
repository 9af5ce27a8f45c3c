#map = affine_map<(d0, d1, d2) -> (d1, d2)>
#map1 = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#map2 = affine_map<(d0, d1, d2) -> (d2)>
#map3 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map4 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
#map5 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>
#map6 = affine_map<(d0, d1) -> (d0, d1)>
#map7 = affine_map<(d0, d1) -> (d1)>
#map8 = affine_map<(d0, d1, d2) -> (d0, d1, 0)>
module {
  func.func @main(%arg0: tensor<8x128x256xf32>) -> tensor<8x128x256xf32> {
    %c0_i64 = arith.constant 0 : i64
    %cst = arith.constant 0.000000e+00 : f32
    %cst_0 = arith.constant 0xFF800000 : f32
    %true = arith.constant true
    %cst_1 = arith.constant 0.000000e+00 : f64
    %cst_2 = arith.constant 1.000000e+00 : f32
    %cst_3 = arith.constant 5.000000e-01 : f32
    %cst_4 = arith.constant dense<0.000000e+00> : tensor<8x4x128x128xf32>
    %cst_5 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_6 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_7 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_8 = arith.constant dense_resource<__elided__> : tensor<256x1024xf32>
    %cst_9 = arith.constant dense_resource<__elided__> : tensor<1024xf32>
    %cst_10 = arith.constant dense_resource<__elided__> : tensor<1024x256xf32>
    %cst_11 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_12 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_13 = arith.constant 1.000000e-05 : f64
    %cst_14 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_15 = arith.constant dense_resource<__elided__> : tensor<256x256xf32>
    %cst_16 = arith.constant 0xFFF0000000000000 : f64
    %cst_17 = arith.constant 0.35355339059327379 : f64
    %cst_18 = arith.constant dense_resource<__elided__> : tensor<768xf32>
    %cst_19 = arith.constant dense_resource<__elided__> : tensor<768x256xf32>
    %cst_20 = arith.constant 2.560000e+02 : f64
    %cst_21 = arith.constant 2.560000e+02 : f32
    %cst_22 = arith.constant 1.41421354 : f32
    %0 = tensor.empty() : tensor<128x8x256xf32>
    %transposed = linalg.transpose ins(%arg0 : tensor<8x128x256xf32>) outs(%0 : tensor<128x8x256xf32>) permutation = [1, 0, 2] 
    %1 = tensor.empty() : tensor<256x768xf32>
    %transposed_23 = linalg.transpose ins(%cst_19 : tensor<768x256xf32>) outs(%1 : tensor<256x768xf32>) permutation = [1, 0] 
    %2 = tensor.empty() : tensor<128x256x768xf32>
    %3 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%transposed_23 : tensor<256x768xf32>) outs(%2 : tensor<128x256x768xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<128x256x768xf32>
    %4 = tensor.empty() : tensor<128x8x768xf32>
    %5 = linalg.fill ins(%cst : f32) outs(%4 : tensor<128x8x768xf32>) -> tensor<128x8x768xf32>
    %6 = linalg.batch_matmul ins(%transposed, %3 : tensor<128x8x256xf32>, tensor<128x256x768xf32>) outs(%5 : tensor<128x8x768xf32>) -> tensor<128x8x768xf32>
    %7 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%6, %cst_18 : tensor<128x8x768xf32>, tensor<768xf32>) outs(%4 : tensor<128x8x768xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.addf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<128x8x768xf32>
    %expanded = tensor.expand_shape %7 [[0, 1], [2], [3, 4]] output_shape [1, 128, 8, 3, 256] : tensor<128x8x768xf32> into tensor<1x128x8x3x256xf32>
    %8 = tensor.empty() : tensor<3x128x8x1x256xf32>
    %transposed_24 = linalg.transpose ins(%expanded : tensor<1x128x8x3x256xf32>) outs(%8 : tensor<3x128x8x1x256xf32>) permutation = [3, 1, 2, 0, 4] 
    %collapsed = tensor.collapse_shape %transposed_24 [[0], [1], [2, 3], [4]] : tensor<3x128x8x1x256xf32> into tensor<3x128x8x256xf32>
    %extracted_slice = tensor.extract_slice %collapsed[0, 0, 0, 0] [1, 128, 8, 256] [1, 1, 1, 1] : tensor<3x128x8x256xf32> to tensor<1x128x8x256xf32>
    %extracted_slice_25 = tensor.extract_slice %collapsed[1, 0, 0, 0] [1, 128, 8, 256] [1, 1, 1, 1] : tensor<3x128x8x256xf32> to tensor<1x128x8x256xf32>
    %extracted_slice_26 = tensor.extract_slice %collapsed[2, 0, 0, 0] [1, 128, 8, 256] [1, 1, 1, 1] : tensor<3x128x8x256xf32> to tensor<1x128x8x256xf32>
    %collapsed_27 = tensor.collapse_shape %extracted_slice [[0, 1], [2, 3]] : tensor<1x128x8x256xf32> into tensor<128x2048xf32>
    %expanded_28 = tensor.expand_shape %collapsed_27 [[0], [1, 2]] output_shape [128, 32, 64] : tensor<128x2048xf32> into tensor<128x32x64xf32>
    %9 = tensor.empty() : tensor<32x128x64xf32>
    %transposed_29 = linalg.transpose ins(%expanded_28 : tensor<128x32x64xf32>) outs(%9 : tensor<32x128x64xf32>) permutation = [1, 0, 2] 
    %collapsed_30 = tensor.collapse_shape %extracted_slice_25 [[0, 1], [2, 3]] : tensor<1x128x8x256xf32> into tensor<128x2048xf32>
    %expanded_31 = tensor.expand_shape %collapsed_30 [[0], [1, 2]] output_shape [128, 32, 64] : tensor<128x2048xf32> into tensor<128x32x64xf32>
    %transposed_32 = linalg.transpose ins(%expanded_31 : tensor<128x32x64xf32>) outs(%9 : tensor<32x128x64xf32>) permutation = [1, 0, 2] 
    %collapsed_33 = tensor.collapse_shape %extracted_slice_26 [[0, 1], [2, 3]] : tensor<1x128x8x256xf32> into tensor<128x2048xf32>
    %expanded_34 = tensor.expand_shape %collapsed_33 [[0], [1, 2]] output_shape [128, 32, 64] : tensor<128x2048xf32> into tensor<128x32x64xf32>
    %transposed_35 = linalg.transpose ins(%expanded_34 : tensor<128x32x64xf32>) outs(%9 : tensor<32x128x64xf32>) permutation = [1, 0, 2] 
    %expanded_36 = tensor.expand_shape %transposed_29 [[0, 1], [2], [3]] output_shape [8, 4, 128, 64] : tensor<32x128x64xf32> into tensor<8x4x128x64xf32>
    %expanded_37 = tensor.expand_shape %transposed_32 [[0, 1], [2], [3]] output_shape [8, 4, 128, 64] : tensor<32x128x64xf32> into tensor<8x4x128x64xf32>
    %10 = tensor.empty() : tensor<8x4x128x64xf32>
    %11 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_36 : tensor<8x4x128x64xf32>) outs(%10 : tensor<8x4x128x64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.truncf %cst_17 : f64 to f32
      %93 = arith.mulf %in, %92 : f32
      linalg.yield %93 : f32
    } -> tensor<8x4x128x64xf32>
    %12 = tensor.empty() : tensor<8x4x64x128xf32>
    %transposed_38 = linalg.transpose ins(%expanded_37 : tensor<8x4x128x64xf32>) outs(%12 : tensor<8x4x64x128xf32>) permutation = [0, 1, 3, 2] 
    %13 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed_38 : tensor<8x4x64x128xf32>) outs(%12 : tensor<8x4x64x128xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.truncf %cst_17 : f64 to f32
      %93 = arith.mulf %in, %92 : f32
      linalg.yield %93 : f32
    } -> tensor<8x4x64x128xf32>
    %collapsed_39 = tensor.collapse_shape %11 [[0, 1], [2], [3]] : tensor<8x4x128x64xf32> into tensor<32x128x64xf32>
    %collapsed_40 = tensor.collapse_shape %13 [[0, 1], [2], [3]] : tensor<8x4x64x128xf32> into tensor<32x64x128xf32>
    %14 = tensor.empty() : tensor<32x128x128xf32>
    %15 = linalg.fill ins(%cst : f32) outs(%14 : tensor<32x128x128xf32>) -> tensor<32x128x128xf32>
    %16 = linalg.batch_matmul ins(%collapsed_39, %collapsed_40 : tensor<32x128x64xf32>, tensor<32x64x128xf32>) outs(%15 : tensor<32x128x128xf32>) -> tensor<32x128x128xf32>
    %expanded_41 = tensor.expand_shape %16 [[0, 1], [2], [3]] output_shape [8, 4, 128, 128] : tensor<32x128x128xf32> into tensor<8x4x128x128xf32>
    %17 = tensor.empty() : tensor<8x4x128xi64>
    %18 = linalg.fill ins(%c0_i64 : i64) outs(%17 : tensor<8x4x128xi64>) -> tensor<8x4x128xi64>
    %19 = tensor.empty() : tensor<8x4x128xf32>
    %20 = linalg.fill ins(%cst_0 : f32) outs(%19 : tensor<8x4x128xf32>) -> tensor<8x4x128xf32>
    %21:2 = linalg.generic {indexing_maps = [#map3, #map4, #map4], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%expanded_41 : tensor<8x4x128x128xf32>) outs(%20, %18 : tensor<8x4x128xf32>, tensor<8x4x128xi64>) {
    ^bb0(%in: f32, %out: f32, %out_56: i64):
      %92 = linalg.index 3 : index
      %93 = arith.index_cast %92 : index to i64
      %94 = arith.maximumf %in, %out : f32
      %95 = arith.cmpf ogt, %in, %out : f32
      %96 = arith.select %95, %93, %out_56 : i64
      linalg.yield %94, %96 : f32, i64
    } -> (tensor<8x4x128xf32>, tensor<8x4x128xi64>)
    %expanded_42 = tensor.expand_shape %21#0 [[0], [1], [2, 3]] output_shape [8, 4, 128, 1] : tensor<8x4x128xf32> into tensor<8x4x128x1xf32>
    %22 = tensor.empty() : tensor<8x4x128x128xf32>
    %23 = linalg.generic {indexing_maps = [#map3, #map5, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_41, %expanded_42 : tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>) outs(%22 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.subf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x4x128x128xf32>
    %24 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%23 : tensor<8x4x128x128xf32>) outs(%22 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = math.exp %in : f32
      linalg.yield %92 : f32
    } -> tensor<8x4x128x128xf32>
    %25 = tensor.empty() : tensor<8x4x128x1xf32>
    %26 = linalg.fill ins(%cst : f32) outs(%25 : tensor<8x4x128x1xf32>) -> tensor<8x4x128x1xf32>
    %27 = linalg.generic {indexing_maps = [#map3, #map5], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%24 : tensor<8x4x128x128xf32>) outs(%26 : tensor<8x4x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.addf %in, %out : f32
      linalg.yield %92 : f32
    } -> tensor<8x4x128x1xf32>
    %28 = linalg.generic {indexing_maps = [#map3, #map5, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%24, %27 : tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>) outs(%22 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.divf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x4x128x128xf32>
    %29 = tensor.empty() : tensor<8x4x128x128xi1>
    %30 = linalg.generic {indexing_maps = [#map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_41 : tensor<8x4x128x128xf32>) outs(%29 : tensor<8x4x128x128xi1>) {
    ^bb0(%in: f32, %out: i1):
      %92 = arith.extf %in : f32 to f64
      %93 = arith.cmpf oeq, %92, %cst_16 : f64
      linalg.yield %93 : i1
    } -> tensor<8x4x128x128xi1>
    %31 = tensor.empty() : tensor<8x4x128x1xi1>
    %32 = linalg.fill ins(%true : i1) outs(%31 : tensor<8x4x128x1xi1>) -> tensor<8x4x128x1xi1>
    %33 = linalg.generic {indexing_maps = [#map3, #map5], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%30 : tensor<8x4x128x128xi1>) outs(%32 : tensor<8x4x128x1xi1>) {
    ^bb0(%in: i1, %out: i1):
      %92 = arith.andi %in, %out : i1
      linalg.yield %92 : i1
    } -> tensor<8x4x128x1xi1>
    %34 = linalg.generic {indexing_maps = [#map5, #map3, #map3, #map3], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%33, %cst_4, %28 : tensor<8x4x128x1xi1>, tensor<8x4x128x128xf32>, tensor<8x4x128x128xf32>) outs(%22 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: i1, %in_56: f32, %in_57: f32, %out: f32):
      %92 = arith.select %in, %in_56, %in_57 : f32
      linalg.yield %92 : f32
    } -> tensor<8x4x128x128xf32>
    %collapsed_43 = tensor.collapse_shape %34 [[0, 1], [2], [3]] : tensor<8x4x128x128xf32> into tensor<32x128x128xf32>
    %35 = linalg.fill ins(%cst : f32) outs(%9 : tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %36 = linalg.batch_matmul ins(%collapsed_43, %transposed_35 : tensor<32x128x128xf32>, tensor<32x128x64xf32>) outs(%35 : tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %expanded_44 = tensor.expand_shape %36 [[0, 1], [2], [3]] output_shape [8, 4, 128, 64] : tensor<32x128x64xf32> into tensor<8x4x128x64xf32>
    %37 = tensor.empty() : tensor<128x8x4x64xf32>
    %transposed_45 = linalg.transpose ins(%expanded_44 : tensor<8x4x128x64xf32>) outs(%37 : tensor<128x8x4x64xf32>) permutation = [2, 0, 1, 3] 
    %collapsed_46 = tensor.collapse_shape %transposed_45 [[0, 1], [2, 3]] : tensor<128x8x4x64xf32> into tensor<1024x256xf32>
    %38 = tensor.empty() : tensor<256x256xf32>
    %transposed_47 = linalg.transpose ins(%cst_15 : tensor<256x256xf32>) outs(%38 : tensor<256x256xf32>) permutation = [1, 0] 
    %39 = tensor.empty() : tensor<1024x256xf32>
    %40 = linalg.fill ins(%cst : f32) outs(%39 : tensor<1024x256xf32>) -> tensor<1024x256xf32>
    %41 = linalg.matmul ins(%collapsed_46, %transposed_47 : tensor<1024x256xf32>, tensor<256x256xf32>) outs(%40 : tensor<1024x256xf32>) -> tensor<1024x256xf32>
    %42 = linalg.generic {indexing_maps = [#map6, #map7, #map6], iterator_types = ["parallel", "parallel"]} ins(%41, %cst_14 : tensor<1024x256xf32>, tensor<256xf32>) outs(%39 : tensor<1024x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.addf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<1024x256xf32>
    %expanded_48 = tensor.expand_shape %42 [[0, 1], [2]] output_shape [128, 8, 256] : tensor<1024x256xf32> into tensor<128x8x256xf32>
    %43 = tensor.empty() : tensor<8x128x256xf32>
    %transposed_49 = linalg.transpose ins(%expanded_48 : tensor<128x8x256xf32>) outs(%43 : tensor<8x128x256xf32>) permutation = [1, 0, 2] 
    %44 = linalg.generic {indexing_maps = [#map1, #map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%arg0, %transposed_49 : tensor<8x128x256xf32>, tensor<8x128x256xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.addf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    %45 = tensor.empty() : tensor<8x128x256xf64>
    %46 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%44 : tensor<8x128x256xf32>) outs(%45 : tensor<8x128x256xf64>) {
    ^bb0(%in: f32, %out: f64):
      %92 = arith.extf %in : f32 to f64
      linalg.yield %92 : f64
    } -> tensor<8x128x256xf64>
    %47 = tensor.empty() : tensor<8x128x1xf64>
    %48 = linalg.fill ins(%cst_1 : f64) outs(%47 : tensor<8x128x1xf64>) -> tensor<8x128x1xf64>
    %49 = linalg.generic {indexing_maps = [#map1, #map8], iterator_types = ["parallel", "parallel", "reduction"]} ins(%46 : tensor<8x128x256xf64>) outs(%48 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %92 = arith.addf %in, %out : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x1xf64>
    %50 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%49 : tensor<8x128x1xf64>) outs(%47 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %92 = arith.divf %in, %cst_20 : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x1xf64>
    %51 = linalg.generic {indexing_maps = [#map1, #map8, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%46, %50 : tensor<8x128x256xf64>, tensor<8x128x1xf64>) outs(%45 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_56: f64, %out: f64):
      %92 = arith.subf %in, %in_56 : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x256xf64>
    %52 = linalg.generic {indexing_maps = [#map1, #map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%51, %51 : tensor<8x128x256xf64>, tensor<8x128x256xf64>) outs(%45 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_56: f64, %out: f64):
      %92 = arith.mulf %in, %in_56 : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x256xf64>
    %53 = linalg.generic {indexing_maps = [#map1, #map8], iterator_types = ["parallel", "parallel", "reduction"]} ins(%52 : tensor<8x128x256xf64>) outs(%48 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %92 = arith.addf %in, %out : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x1xf64>
    %54 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%53 : tensor<8x128x1xf64>) outs(%47 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %92 = arith.divf %in, %cst_20 : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x1xf64>
    %55 = tensor.empty() : tensor<8x128x1xf32>
    %56 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%54 : tensor<8x128x1xf64>) outs(%55 : tensor<8x128x1xf32>) {
    ^bb0(%in: f64, %out: f32):
      %92 = arith.truncf %in : f64 to f32
      linalg.yield %92 : f32
    } -> tensor<8x128x1xf32>
    %57 = linalg.fill ins(%cst : f32) outs(%55 : tensor<8x128x1xf32>) -> tensor<8x128x1xf32>
    %58 = linalg.generic {indexing_maps = [#map1, #map8], iterator_types = ["parallel", "parallel", "reduction"]} ins(%44 : tensor<8x128x256xf32>) outs(%57 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.addf %in, %out : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x1xf32>
    %59 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%58 : tensor<8x128x1xf32>) outs(%55 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.divf %in, %cst_21 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x1xf32>
    %60 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%56 : tensor<8x128x1xf32>) outs(%55 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.truncf %cst_13 : f64 to f32
      %93 = arith.addf %in, %92 : f32
      linalg.yield %93 : f32
    } -> tensor<8x128x1xf32>
    %61 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%60 : tensor<8x128x1xf32>) outs(%55 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = math.rsqrt %in : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x1xf32>
    %62 = linalg.generic {indexing_maps = [#map1, #map8, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%44, %59 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.subf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    %63 = linalg.generic {indexing_maps = [#map1, #map8, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%62, %61 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.mulf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    %64 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%63, %cst_12 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.mulf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    %65 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%64, %cst_11 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.addf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    %collapsed_50 = tensor.collapse_shape %65 [[0, 1], [2]] : tensor<8x128x256xf32> into tensor<1024x256xf32>
    %66 = tensor.empty() : tensor<256x1024xf32>
    %transposed_51 = linalg.transpose ins(%cst_10 : tensor<1024x256xf32>) outs(%66 : tensor<256x1024xf32>) permutation = [1, 0] 
    %67 = tensor.empty() : tensor<1024x1024xf32>
    %68 = linalg.fill ins(%cst : f32) outs(%67 : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
    %69 = linalg.matmul ins(%collapsed_50, %transposed_51 : tensor<1024x256xf32>, tensor<256x1024xf32>) outs(%68 : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
    %70 = linalg.generic {indexing_maps = [#map6, #map7, #map6], iterator_types = ["parallel", "parallel"]} ins(%69, %cst_9 : tensor<1024x1024xf32>, tensor<1024xf32>) outs(%67 : tensor<1024x1024xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.addf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<1024x1024xf32>
    %expanded_52 = tensor.expand_shape %70 [[0, 1], [2]] output_shape [8, 128, 1024] : tensor<1024x1024xf32> into tensor<8x128x1024xf32>
    %71 = tensor.empty() : tensor<8x128x1024xf32>
    %72 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded_52 : tensor<8x128x1024xf32>) outs(%71 : tensor<8x128x1024xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.divf %in, %cst_22 : f32
      %93 = math.erf %92 : f32
      %94 = arith.addf %93, %cst_2 : f32
      %95 = arith.mulf %94, %cst_3 : f32
      %96 = arith.mulf %in, %95 : f32
      linalg.yield %96 : f32
    } -> tensor<8x128x1024xf32>
    %collapsed_53 = tensor.collapse_shape %72 [[0, 1], [2]] : tensor<8x128x1024xf32> into tensor<1024x1024xf32>
    %transposed_54 = linalg.transpose ins(%cst_8 : tensor<256x1024xf32>) outs(%39 : tensor<1024x256xf32>) permutation = [1, 0] 
    %73 = linalg.matmul ins(%collapsed_53, %transposed_54 : tensor<1024x1024xf32>, tensor<1024x256xf32>) outs(%40 : tensor<1024x256xf32>) -> tensor<1024x256xf32>
    %74 = linalg.generic {indexing_maps = [#map6, #map7, #map6], iterator_types = ["parallel", "parallel"]} ins(%73, %cst_7 : tensor<1024x256xf32>, tensor<256xf32>) outs(%39 : tensor<1024x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.addf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<1024x256xf32>
    %expanded_55 = tensor.expand_shape %74 [[0, 1], [2]] output_shape [8, 128, 256] : tensor<1024x256xf32> into tensor<8x128x256xf32>
    %75 = linalg.generic {indexing_maps = [#map1, #map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%65, %expanded_55 : tensor<8x128x256xf32>, tensor<8x128x256xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.addf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    %76 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%75 : tensor<8x128x256xf32>) outs(%45 : tensor<8x128x256xf64>) {
    ^bb0(%in: f32, %out: f64):
      %92 = arith.extf %in : f32 to f64
      linalg.yield %92 : f64
    } -> tensor<8x128x256xf64>
    %77 = linalg.generic {indexing_maps = [#map1, #map8], iterator_types = ["parallel", "parallel", "reduction"]} ins(%76 : tensor<8x128x256xf64>) outs(%48 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %92 = arith.addf %in, %out : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x1xf64>
    %78 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%77 : tensor<8x128x1xf64>) outs(%47 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %92 = arith.divf %in, %cst_20 : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x1xf64>
    %79 = linalg.generic {indexing_maps = [#map1, #map8, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%76, %78 : tensor<8x128x256xf64>, tensor<8x128x1xf64>) outs(%45 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_56: f64, %out: f64):
      %92 = arith.subf %in, %in_56 : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x256xf64>
    %80 = linalg.generic {indexing_maps = [#map1, #map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%79, %79 : tensor<8x128x256xf64>, tensor<8x128x256xf64>) outs(%45 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_56: f64, %out: f64):
      %92 = arith.mulf %in, %in_56 : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x256xf64>
    %81 = linalg.generic {indexing_maps = [#map1, #map8], iterator_types = ["parallel", "parallel", "reduction"]} ins(%80 : tensor<8x128x256xf64>) outs(%48 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %92 = arith.addf %in, %out : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x1xf64>
    %82 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%81 : tensor<8x128x1xf64>) outs(%47 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %92 = arith.divf %in, %cst_20 : f64
      linalg.yield %92 : f64
    } -> tensor<8x128x1xf64>
    %83 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%82 : tensor<8x128x1xf64>) outs(%55 : tensor<8x128x1xf32>) {
    ^bb0(%in: f64, %out: f32):
      %92 = arith.truncf %in : f64 to f32
      linalg.yield %92 : f32
    } -> tensor<8x128x1xf32>
    %84 = linalg.generic {indexing_maps = [#map1, #map8], iterator_types = ["parallel", "parallel", "reduction"]} ins(%75 : tensor<8x128x256xf32>) outs(%57 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.addf %in, %out : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x1xf32>
    %85 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%84 : tensor<8x128x1xf32>) outs(%55 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.divf %in, %cst_21 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x1xf32>
    %86 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%83 : tensor<8x128x1xf32>) outs(%55 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = arith.truncf %cst_13 : f64 to f32
      %93 = arith.addf %in, %92 : f32
      linalg.yield %93 : f32
    } -> tensor<8x128x1xf32>
    %87 = linalg.generic {indexing_maps = [#map1, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%86 : tensor<8x128x1xf32>) outs(%55 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %92 = math.rsqrt %in : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x1xf32>
    %88 = linalg.generic {indexing_maps = [#map1, #map8, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%75, %85 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.subf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    %89 = linalg.generic {indexing_maps = [#map1, #map8, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%88, %87 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.mulf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    %90 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%89, %cst_6 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.mulf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    %91 = linalg.generic {indexing_maps = [#map1, #map2, #map1], iterator_types = ["parallel", "parallel", "parallel"]} ins(%90, %cst_5 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%43 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_56: f32, %out: f32):
      %92 = arith.addf %in, %in_56 : f32
      linalg.yield %92 : f32
    } -> tensor<8x128x256xf32>
    return %91 : tensor<8x128x256xf32>
  }
}

