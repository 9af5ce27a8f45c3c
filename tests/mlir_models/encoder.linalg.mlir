#map = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#map1 = affine_map<(d0, d1, d2) -> (d0, d1, 0)>
#map2 = affine_map<(d0, d1, d2) -> (d2)>
#map3 = affine_map<(d0, d1) -> (d0, d1)>
#map4 = affine_map<(d0, d1) -> (d1)>
#map5 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#map6 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
#map7 = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, 0)>
#map8 = affine_map<(d0, d1, d2) -> (d1, d2)>
module {
  func.func @main(%arg0: tensor<8x128x256xf32>) -> tensor<8x128x256xf32> {
    %c0_i64 = arith.constant 0 : i64
    %cst = arith.constant 0.000000e+00 : f64
    %cst_0 = arith.constant 0.000000e+00 : f32
    %cst_1 = arith.constant 0xFF800000 : f32
    %true = arith.constant true
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
    %cst_13 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_14 = arith.constant dense_resource<__elided__> : tensor<256x256xf32>
    %cst_15 = arith.constant dense_resource<__elided__> : tensor<768xf32>
    %cst_16 = arith.constant dense_resource<__elided__> : tensor<768x256xf32>
    %cst_17 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_18 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_19 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_20 = arith.constant dense_resource<__elided__> : tensor<256x1024xf32>
    %cst_21 = arith.constant dense_resource<__elided__> : tensor<1024xf32>
    %cst_22 = arith.constant dense_resource<__elided__> : tensor<1024x256xf32>
    %cst_23 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_24 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_25 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_26 = arith.constant dense_resource<__elided__> : tensor<256x256xf32>
    %cst_27 = arith.constant 0xFFF0000000000000 : f64
    %cst_28 = arith.constant 0.35355339059327379 : f64
    %cst_29 = arith.constant dense_resource<__elided__> : tensor<768xf32>
    %cst_30 = arith.constant dense_resource<__elided__> : tensor<768x256xf32>
    %cst_31 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_32 = arith.constant dense_resource<__elided__> : tensor<256xf32>
    %cst_33 = arith.constant 1.000000e-05 : f64
    %cst_34 = arith.constant 2.560000e+02 : f64
    %cst_35 = arith.constant 2.560000e+02 : f32
    %cst_36 = arith.constant 1.41421354 : f32
    %0 = tensor.empty() : tensor<8x128x256xf64>
    %1 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%arg0 : tensor<8x128x256xf32>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f32, %out: f64):
      %163 = arith.extf %in : f32 to f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %2 = tensor.empty() : tensor<8x128x1xf64>
    %3 = linalg.fill ins(%cst : f64) outs(%2 : tensor<8x128x1xf64>) -> tensor<8x128x1xf64>
    %4 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%1 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %5 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%4 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %6 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%1, %5 : tensor<8x128x256xf64>, tensor<8x128x1xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.subf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %7 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%6, %6 : tensor<8x128x256xf64>, tensor<8x128x256xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.mulf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %8 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%7 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %9 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%8 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %10 = tensor.empty() : tensor<8x128x1xf32>
    %11 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%9 : tensor<8x128x1xf64>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f64, %out: f32):
      %163 = arith.truncf %in : f64 to f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %12 = linalg.fill ins(%cst_0 : f32) outs(%10 : tensor<8x128x1xf32>) -> tensor<8x128x1xf32>
    %13 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%arg0 : tensor<8x128x256xf32>) outs(%12 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.addf %in, %out : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %14 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%13 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.divf %in, %cst_35 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %15 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%11 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.truncf %cst_33 : f64 to f32
      %164 = arith.addf %in, %163 : f32
      linalg.yield %164 : f32
    } -> tensor<8x128x1xf32>
    %16 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%15 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = math.rsqrt %in : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %17 = tensor.empty() : tensor<8x128x256xf32>
    %18 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%arg0, %14 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.subf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %19 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%18, %16 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %20 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%19, %cst_32 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %21 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%20, %cst_31 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %collapsed = tensor.collapse_shape %21 [[0, 1], [2]] : tensor<8x128x256xf32> into tensor<1024x256xf32>
    %22 = tensor.empty() : tensor<256x768xf32>
    %transposed = linalg.transpose ins(%cst_30 : tensor<768x256xf32>) outs(%22 : tensor<256x768xf32>) permutation = [1, 0] 
    %23 = tensor.empty() : tensor<1024x768xf32>
    %24 = linalg.fill ins(%cst_0 : f32) outs(%23 : tensor<1024x768xf32>) -> tensor<1024x768xf32>
    %25 = linalg.matmul ins(%collapsed, %transposed : tensor<1024x256xf32>, tensor<256x768xf32>) outs(%24 : tensor<1024x768xf32>) -> tensor<1024x768xf32>
    %26 = linalg.generic {indexing_maps = [#map3, #map4, #map3], iterator_types = ["parallel", "parallel"]} ins(%25, %cst_29 : tensor<1024x768xf32>, tensor<768xf32>) outs(%23 : tensor<1024x768xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<1024x768xf32>
    %expanded = tensor.expand_shape %26 [[0, 1], [2]] output_shape [8, 128, 768] : tensor<1024x768xf32> into tensor<8x128x768xf32>
    %extracted_slice = tensor.extract_slice %expanded[0, 0, 0] [8, 128, 256] [1, 1, 1] : tensor<8x128x768xf32> to tensor<8x128x256xf32>
    %extracted_slice_37 = tensor.extract_slice %expanded[0, 0, 256] [8, 128, 256] [1, 1, 1] : tensor<8x128x768xf32> to tensor<8x128x256xf32>
    %extracted_slice_38 = tensor.extract_slice %expanded[0, 0, 512] [8, 128, 256] [1, 1, 1] : tensor<8x128x768xf32> to tensor<8x128x256xf32>
    %expanded_39 = tensor.expand_shape %extracted_slice [[0], [1], [2, 3]] output_shape [8, 128, 4, 64] : tensor<8x128x256xf32> into tensor<8x128x4x64xf32>
    %27 = tensor.empty() : tensor<8x4x128x64xf32>
    %transposed_40 = linalg.transpose ins(%expanded_39 : tensor<8x128x4x64xf32>) outs(%27 : tensor<8x4x128x64xf32>) permutation = [0, 2, 1, 3] 
    %expanded_41 = tensor.expand_shape %extracted_slice_37 [[0], [1], [2, 3]] output_shape [8, 128, 4, 64] : tensor<8x128x256xf32> into tensor<8x128x4x64xf32>
    %expanded_42 = tensor.expand_shape %extracted_slice_38 [[0], [1], [2, 3]] output_shape [8, 128, 4, 64] : tensor<8x128x256xf32> into tensor<8x128x4x64xf32>
    %transposed_43 = linalg.transpose ins(%expanded_42 : tensor<8x128x4x64xf32>) outs(%27 : tensor<8x4x128x64xf32>) permutation = [0, 2, 1, 3] 
    %28 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed_40 : tensor<8x4x128x64xf32>) outs(%27 : tensor<8x4x128x64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.truncf %cst_28 : f64 to f32
      %164 = arith.mulf %in, %163 : f32
      linalg.yield %164 : f32
    } -> tensor<8x4x128x64xf32>
    %29 = tensor.empty() : tensor<8x4x64x128xf32>
    %transposed_44 = linalg.transpose ins(%expanded_41 : tensor<8x128x4x64xf32>) outs(%29 : tensor<8x4x64x128xf32>) permutation = [0, 2, 3, 1] 
    %30 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed_44 : tensor<8x4x64x128xf32>) outs(%29 : tensor<8x4x64x128xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.truncf %cst_28 : f64 to f32
      %164 = arith.mulf %in, %163 : f32
      linalg.yield %164 : f32
    } -> tensor<8x4x64x128xf32>
    %collapsed_45 = tensor.collapse_shape %28 [[0, 1], [2], [3]] : tensor<8x4x128x64xf32> into tensor<32x128x64xf32>
    %collapsed_46 = tensor.collapse_shape %30 [[0, 1], [2], [3]] : tensor<8x4x64x128xf32> into tensor<32x64x128xf32>
    %31 = tensor.empty() : tensor<32x128x128xf32>
    %32 = linalg.fill ins(%cst_0 : f32) outs(%31 : tensor<32x128x128xf32>) -> tensor<32x128x128xf32>
    %33 = linalg.batch_matmul ins(%collapsed_45, %collapsed_46 : tensor<32x128x64xf32>, tensor<32x64x128xf32>) outs(%32 : tensor<32x128x128xf32>) -> tensor<32x128x128xf32>
    %expanded_47 = tensor.expand_shape %33 [[0, 1], [2], [3]] output_shape [8, 4, 128, 128] : tensor<32x128x128xf32> into tensor<8x4x128x128xf32>
    %34 = tensor.empty() : tensor<8x4x128xi64>
    %35 = linalg.fill ins(%c0_i64 : i64) outs(%34 : tensor<8x4x128xi64>) -> tensor<8x4x128xi64>
    %36 = tensor.empty() : tensor<8x4x128xf32>
    %37 = linalg.fill ins(%cst_1 : f32) outs(%36 : tensor<8x4x128xf32>) -> tensor<8x4x128xf32>
    %38:2 = linalg.generic {indexing_maps = [#map5, #map6, #map6], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%expanded_47 : tensor<8x4x128x128xf32>) outs(%37, %35 : tensor<8x4x128xf32>, tensor<8x4x128xi64>) {
    ^bb0(%in: f32, %out: f32, %out_89: i64):
      %163 = linalg.index 3 : index
      %164 = arith.index_cast %163 : index to i64
      %165 = arith.maximumf %in, %out : f32
      %166 = arith.cmpf ogt, %in, %out : f32
      %167 = arith.select %166, %164, %out_89 : i64
      linalg.yield %165, %167 : f32, i64
    } -> (tensor<8x4x128xf32>, tensor<8x4x128xi64>)
    %expanded_48 = tensor.expand_shape %38#0 [[0], [1], [2, 3]] output_shape [8, 4, 128, 1] : tensor<8x4x128xf32> into tensor<8x4x128x1xf32>
    %39 = tensor.empty() : tensor<8x4x128x128xf32>
    %40 = linalg.generic {indexing_maps = [#map5, #map7, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_47, %expanded_48 : tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>) outs(%39 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.subf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x128xf32>
    %41 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%40 : tensor<8x4x128x128xf32>) outs(%39 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = math.exp %in : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x128xf32>
    %42 = tensor.empty() : tensor<8x4x128x1xf32>
    %43 = linalg.fill ins(%cst_0 : f32) outs(%42 : tensor<8x4x128x1xf32>) -> tensor<8x4x128x1xf32>
    %44 = linalg.generic {indexing_maps = [#map5, #map7], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%41 : tensor<8x4x128x128xf32>) outs(%43 : tensor<8x4x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.addf %in, %out : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x1xf32>
    %45 = linalg.generic {indexing_maps = [#map5, #map7, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%41, %44 : tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>) outs(%39 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.divf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x128xf32>
    %46 = tensor.empty() : tensor<8x4x128x128xi1>
    %47 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_47 : tensor<8x4x128x128xf32>) outs(%46 : tensor<8x4x128x128xi1>) {
    ^bb0(%in: f32, %out: i1):
      %163 = arith.extf %in : f32 to f64
      %164 = arith.cmpf oeq, %163, %cst_27 : f64
      linalg.yield %164 : i1
    } -> tensor<8x4x128x128xi1>
    %48 = tensor.empty() : tensor<8x4x128x1xi1>
    %49 = linalg.fill ins(%true : i1) outs(%48 : tensor<8x4x128x1xi1>) -> tensor<8x4x128x1xi1>
    %50 = linalg.generic {indexing_maps = [#map5, #map7], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%47 : tensor<8x4x128x128xi1>) outs(%49 : tensor<8x4x128x1xi1>) {
    ^bb0(%in: i1, %out: i1):
      %163 = arith.andi %in, %out : i1
      linalg.yield %163 : i1
    } -> tensor<8x4x128x1xi1>
    %51 = linalg.generic {indexing_maps = [#map7, #map5, #map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%50, %cst_4, %45 : tensor<8x4x128x1xi1>, tensor<8x4x128x128xf32>, tensor<8x4x128x128xf32>) outs(%39 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: i1, %in_89: f32, %in_90: f32, %out: f32):
      %163 = arith.select %in, %in_89, %in_90 : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x128xf32>
    %collapsed_49 = tensor.collapse_shape %51 [[0, 1], [2], [3]] : tensor<8x4x128x128xf32> into tensor<32x128x128xf32>
    %collapsed_50 = tensor.collapse_shape %transposed_43 [[0, 1], [2], [3]] : tensor<8x4x128x64xf32> into tensor<32x128x64xf32>
    %52 = tensor.empty() : tensor<32x128x64xf32>
    %53 = linalg.fill ins(%cst_0 : f32) outs(%52 : tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %54 = linalg.batch_matmul ins(%collapsed_49, %collapsed_50 : tensor<32x128x128xf32>, tensor<32x128x64xf32>) outs(%53 : tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %expanded_51 = tensor.expand_shape %54 [[0, 1], [2], [3]] output_shape [8, 4, 128, 64] : tensor<32x128x64xf32> into tensor<8x4x128x64xf32>
    %55 = tensor.empty() : tensor<8x128x4x64xf32>
    %transposed_52 = linalg.transpose ins(%expanded_51 : tensor<8x4x128x64xf32>) outs(%55 : tensor<8x128x4x64xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_53 = tensor.collapse_shape %transposed_52 [[0], [1], [2, 3]] : tensor<8x128x4x64xf32> into tensor<8x128x256xf32>
    %56 = tensor.empty() : tensor<256x256xf32>
    %transposed_54 = linalg.transpose ins(%cst_26 : tensor<256x256xf32>) outs(%56 : tensor<256x256xf32>) permutation = [1, 0] 
    %57 = tensor.empty() : tensor<8x256x256xf32>
    %58 = linalg.generic {indexing_maps = [#map8, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%transposed_54 : tensor<256x256xf32>) outs(%57 : tensor<8x256x256xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<8x256x256xf32>
    %59 = linalg.fill ins(%cst_0 : f32) outs(%17 : tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %60 = linalg.batch_matmul ins(%collapsed_53, %58 : tensor<8x128x256xf32>, tensor<8x256x256xf32>) outs(%59 : tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %61 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%60, %cst_25 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %62 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%arg0, %61 : tensor<8x128x256xf32>, tensor<8x128x256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %63 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%62 : tensor<8x128x256xf32>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f32, %out: f64):
      %163 = arith.extf %in : f32 to f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %64 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%63 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %65 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%64 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %66 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%63, %65 : tensor<8x128x256xf64>, tensor<8x128x1xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.subf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %67 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%66, %66 : tensor<8x128x256xf64>, tensor<8x128x256xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.mulf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %68 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%67 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %69 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%68 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %70 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%69 : tensor<8x128x1xf64>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f64, %out: f32):
      %163 = arith.truncf %in : f64 to f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %71 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%62 : tensor<8x128x256xf32>) outs(%12 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.addf %in, %out : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %72 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%71 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.divf %in, %cst_35 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %73 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%70 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.truncf %cst_33 : f64 to f32
      %164 = arith.addf %in, %163 : f32
      linalg.yield %164 : f32
    } -> tensor<8x128x1xf32>
    %74 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%73 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = math.rsqrt %in : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %75 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%62, %72 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.subf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %76 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%75, %74 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %77 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%76, %cst_24 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %78 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%77, %cst_23 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %collapsed_55 = tensor.collapse_shape %78 [[0, 1], [2]] : tensor<8x128x256xf32> into tensor<1024x256xf32>
    %79 = tensor.empty() : tensor<256x1024xf32>
    %transposed_56 = linalg.transpose ins(%cst_22 : tensor<1024x256xf32>) outs(%79 : tensor<256x1024xf32>) permutation = [1, 0] 
    %80 = tensor.empty() : tensor<1024x1024xf32>
    %81 = linalg.fill ins(%cst_0 : f32) outs(%80 : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
    %82 = linalg.matmul ins(%collapsed_55, %transposed_56 : tensor<1024x256xf32>, tensor<256x1024xf32>) outs(%81 : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
    %83 = linalg.generic {indexing_maps = [#map3, #map4, #map3], iterator_types = ["parallel", "parallel"]} ins(%82, %cst_21 : tensor<1024x1024xf32>, tensor<1024xf32>) outs(%80 : tensor<1024x1024xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<1024x1024xf32>
    %expanded_57 = tensor.expand_shape %83 [[0, 1], [2]] output_shape [8, 128, 1024] : tensor<1024x1024xf32> into tensor<8x128x1024xf32>
    %84 = tensor.empty() : tensor<8x128x1024xf32>
    %85 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded_57 : tensor<8x128x1024xf32>) outs(%84 : tensor<8x128x1024xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.divf %in, %cst_36 : f32
      %164 = math.erf %163 : f32
      %165 = arith.addf %164, %cst_2 : f32
      %166 = arith.mulf %165, %cst_3 : f32
      %167 = arith.mulf %in, %166 : f32
      linalg.yield %167 : f32
    } -> tensor<8x128x1024xf32>
    %collapsed_58 = tensor.collapse_shape %85 [[0, 1], [2]] : tensor<8x128x1024xf32> into tensor<1024x1024xf32>
    %86 = tensor.empty() : tensor<1024x256xf32>
    %transposed_59 = linalg.transpose ins(%cst_20 : tensor<256x1024xf32>) outs(%86 : tensor<1024x256xf32>) permutation = [1, 0] 
    %87 = linalg.fill ins(%cst_0 : f32) outs(%86 : tensor<1024x256xf32>) -> tensor<1024x256xf32>
    %88 = linalg.matmul ins(%collapsed_58, %transposed_59 : tensor<1024x1024xf32>, tensor<1024x256xf32>) outs(%87 : tensor<1024x256xf32>) -> tensor<1024x256xf32>
    %89 = linalg.generic {indexing_maps = [#map3, #map4, #map3], iterator_types = ["parallel", "parallel"]} ins(%88, %cst_19 : tensor<1024x256xf32>, tensor<256xf32>) outs(%86 : tensor<1024x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<1024x256xf32>
    %expanded_60 = tensor.expand_shape %89 [[0, 1], [2]] output_shape [8, 128, 256] : tensor<1024x256xf32> into tensor<8x128x256xf32>
    %90 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%62, %expanded_60 : tensor<8x128x256xf32>, tensor<8x128x256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %91 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%90 : tensor<8x128x256xf32>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f32, %out: f64):
      %163 = arith.extf %in : f32 to f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %92 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%91 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %93 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%92 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %94 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%91, %93 : tensor<8x128x256xf64>, tensor<8x128x1xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.subf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %95 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%94, %94 : tensor<8x128x256xf64>, tensor<8x128x256xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.mulf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %96 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%95 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %97 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%96 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %98 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%97 : tensor<8x128x1xf64>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f64, %out: f32):
      %163 = arith.truncf %in : f64 to f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %99 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%90 : tensor<8x128x256xf32>) outs(%12 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.addf %in, %out : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %100 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%99 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.divf %in, %cst_35 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %101 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%98 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.truncf %cst_33 : f64 to f32
      %164 = arith.addf %in, %163 : f32
      linalg.yield %164 : f32
    } -> tensor<8x128x1xf32>
    %102 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%101 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = math.rsqrt %in : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %103 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%90, %100 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.subf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %104 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%103, %102 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %105 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%104, %cst_18 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %106 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%105, %cst_17 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %collapsed_61 = tensor.collapse_shape %106 [[0, 1], [2]] : tensor<8x128x256xf32> into tensor<1024x256xf32>
    %transposed_62 = linalg.transpose ins(%cst_16 : tensor<768x256xf32>) outs(%22 : tensor<256x768xf32>) permutation = [1, 0] 
    %107 = linalg.matmul ins(%collapsed_61, %transposed_62 : tensor<1024x256xf32>, tensor<256x768xf32>) outs(%24 : tensor<1024x768xf32>) -> tensor<1024x768xf32>
    %108 = linalg.generic {indexing_maps = [#map3, #map4, #map3], iterator_types = ["parallel", "parallel"]} ins(%107, %cst_15 : tensor<1024x768xf32>, tensor<768xf32>) outs(%23 : tensor<1024x768xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<1024x768xf32>
    %expanded_63 = tensor.expand_shape %108 [[0, 1], [2]] output_shape [8, 128, 768] : tensor<1024x768xf32> into tensor<8x128x768xf32>
    %extracted_slice_64 = tensor.extract_slice %expanded_63[0, 0, 0] [8, 128, 256] [1, 1, 1] : tensor<8x128x768xf32> to tensor<8x128x256xf32>
    %extracted_slice_65 = tensor.extract_slice %expanded_63[0, 0, 256] [8, 128, 256] [1, 1, 1] : tensor<8x128x768xf32> to tensor<8x128x256xf32>
    %extracted_slice_66 = tensor.extract_slice %expanded_63[0, 0, 512] [8, 128, 256] [1, 1, 1] : tensor<8x128x768xf32> to tensor<8x128x256xf32>
    %expanded_67 = tensor.expand_shape %extracted_slice_64 [[0], [1], [2, 3]] output_shape [8, 128, 4, 64] : tensor<8x128x256xf32> into tensor<8x128x4x64xf32>
    %transposed_68 = linalg.transpose ins(%expanded_67 : tensor<8x128x4x64xf32>) outs(%27 : tensor<8x4x128x64xf32>) permutation = [0, 2, 1, 3] 
    %expanded_69 = tensor.expand_shape %extracted_slice_65 [[0], [1], [2, 3]] output_shape [8, 128, 4, 64] : tensor<8x128x256xf32> into tensor<8x128x4x64xf32>
    %expanded_70 = tensor.expand_shape %extracted_slice_66 [[0], [1], [2, 3]] output_shape [8, 128, 4, 64] : tensor<8x128x256xf32> into tensor<8x128x4x64xf32>
    %transposed_71 = linalg.transpose ins(%expanded_70 : tensor<8x128x4x64xf32>) outs(%27 : tensor<8x4x128x64xf32>) permutation = [0, 2, 1, 3] 
    %109 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed_68 : tensor<8x4x128x64xf32>) outs(%27 : tensor<8x4x128x64xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.truncf %cst_28 : f64 to f32
      %164 = arith.mulf %in, %163 : f32
      linalg.yield %164 : f32
    } -> tensor<8x4x128x64xf32>
    %transposed_72 = linalg.transpose ins(%expanded_69 : tensor<8x128x4x64xf32>) outs(%29 : tensor<8x4x64x128xf32>) permutation = [0, 2, 3, 1] 
    %110 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%transposed_72 : tensor<8x4x64x128xf32>) outs(%29 : tensor<8x4x64x128xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.truncf %cst_28 : f64 to f32
      %164 = arith.mulf %in, %163 : f32
      linalg.yield %164 : f32
    } -> tensor<8x4x64x128xf32>
    %collapsed_73 = tensor.collapse_shape %109 [[0, 1], [2], [3]] : tensor<8x4x128x64xf32> into tensor<32x128x64xf32>
    %collapsed_74 = tensor.collapse_shape %110 [[0, 1], [2], [3]] : tensor<8x4x64x128xf32> into tensor<32x64x128xf32>
    %111 = linalg.batch_matmul ins(%collapsed_73, %collapsed_74 : tensor<32x128x64xf32>, tensor<32x64x128xf32>) outs(%32 : tensor<32x128x128xf32>) -> tensor<32x128x128xf32>
    %expanded_75 = tensor.expand_shape %111 [[0, 1], [2], [3]] output_shape [8, 4, 128, 128] : tensor<32x128x128xf32> into tensor<8x4x128x128xf32>
    %112:2 = linalg.generic {indexing_maps = [#map5, #map6, #map6], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%expanded_75 : tensor<8x4x128x128xf32>) outs(%37, %35 : tensor<8x4x128xf32>, tensor<8x4x128xi64>) {
    ^bb0(%in: f32, %out: f32, %out_89: i64):
      %163 = linalg.index 3 : index
      %164 = arith.index_cast %163 : index to i64
      %165 = arith.maximumf %in, %out : f32
      %166 = arith.cmpf ogt, %in, %out : f32
      %167 = arith.select %166, %164, %out_89 : i64
      linalg.yield %165, %167 : f32, i64
    } -> (tensor<8x4x128xf32>, tensor<8x4x128xi64>)
    %expanded_76 = tensor.expand_shape %112#0 [[0], [1], [2, 3]] output_shape [8, 4, 128, 1] : tensor<8x4x128xf32> into tensor<8x4x128x1xf32>
    %113 = linalg.generic {indexing_maps = [#map5, #map7, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_75, %expanded_76 : tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>) outs(%39 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.subf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x128xf32>
    %114 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%113 : tensor<8x4x128x128xf32>) outs(%39 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = math.exp %in : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x128xf32>
    %115 = linalg.generic {indexing_maps = [#map5, #map7], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%114 : tensor<8x4x128x128xf32>) outs(%43 : tensor<8x4x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.addf %in, %out : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x1xf32>
    %116 = linalg.generic {indexing_maps = [#map5, #map7, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%114, %115 : tensor<8x4x128x128xf32>, tensor<8x4x128x1xf32>) outs(%39 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.divf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x128xf32>
    %117 = linalg.generic {indexing_maps = [#map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%expanded_75 : tensor<8x4x128x128xf32>) outs(%46 : tensor<8x4x128x128xi1>) {
    ^bb0(%in: f32, %out: i1):
      %163 = arith.extf %in : f32 to f64
      %164 = arith.cmpf oeq, %163, %cst_27 : f64
      linalg.yield %164 : i1
    } -> tensor<8x4x128x128xi1>
    %118 = linalg.generic {indexing_maps = [#map5, #map7], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%117 : tensor<8x4x128x128xi1>) outs(%49 : tensor<8x4x128x1xi1>) {
    ^bb0(%in: i1, %out: i1):
      %163 = arith.andi %in, %out : i1
      linalg.yield %163 : i1
    } -> tensor<8x4x128x1xi1>
    %119 = linalg.generic {indexing_maps = [#map7, #map5, #map5, #map5], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%118, %cst_4, %116 : tensor<8x4x128x1xi1>, tensor<8x4x128x128xf32>, tensor<8x4x128x128xf32>) outs(%39 : tensor<8x4x128x128xf32>) {
    ^bb0(%in: i1, %in_89: f32, %in_90: f32, %out: f32):
      %163 = arith.select %in, %in_89, %in_90 : f32
      linalg.yield %163 : f32
    } -> tensor<8x4x128x128xf32>
    %collapsed_77 = tensor.collapse_shape %119 [[0, 1], [2], [3]] : tensor<8x4x128x128xf32> into tensor<32x128x128xf32>
    %collapsed_78 = tensor.collapse_shape %transposed_71 [[0, 1], [2], [3]] : tensor<8x4x128x64xf32> into tensor<32x128x64xf32>
    %120 = linalg.batch_matmul ins(%collapsed_77, %collapsed_78 : tensor<32x128x128xf32>, tensor<32x128x64xf32>) outs(%53 : tensor<32x128x64xf32>) -> tensor<32x128x64xf32>
    %expanded_79 = tensor.expand_shape %120 [[0, 1], [2], [3]] output_shape [8, 4, 128, 64] : tensor<32x128x64xf32> into tensor<8x4x128x64xf32>
    %transposed_80 = linalg.transpose ins(%expanded_79 : tensor<8x4x128x64xf32>) outs(%55 : tensor<8x128x4x64xf32>) permutation = [0, 2, 1, 3] 
    %collapsed_81 = tensor.collapse_shape %transposed_80 [[0], [1], [2, 3]] : tensor<8x128x4x64xf32> into tensor<8x128x256xf32>
    %transposed_82 = linalg.transpose ins(%cst_14 : tensor<256x256xf32>) outs(%56 : tensor<256x256xf32>) permutation = [1, 0] 
    %121 = linalg.generic {indexing_maps = [#map8, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%transposed_82 : tensor<256x256xf32>) outs(%57 : tensor<8x256x256xf32>) {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
    } -> tensor<8x256x256xf32>
    %122 = linalg.batch_matmul ins(%collapsed_81, %121 : tensor<8x128x256xf32>, tensor<8x256x256xf32>) outs(%59 : tensor<8x128x256xf32>) -> tensor<8x128x256xf32>
    %123 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%122, %cst_13 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %124 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%90, %123 : tensor<8x128x256xf32>, tensor<8x128x256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %125 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%124 : tensor<8x128x256xf32>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f32, %out: f64):
      %163 = arith.extf %in : f32 to f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %126 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%125 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %127 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%126 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %128 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%125, %127 : tensor<8x128x256xf64>, tensor<8x128x1xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.subf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %129 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%128, %128 : tensor<8x128x256xf64>, tensor<8x128x256xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.mulf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %130 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%129 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %131 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%130 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %132 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%131 : tensor<8x128x1xf64>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f64, %out: f32):
      %163 = arith.truncf %in : f64 to f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %133 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%124 : tensor<8x128x256xf32>) outs(%12 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.addf %in, %out : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %134 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%133 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.divf %in, %cst_35 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %135 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%132 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.truncf %cst_33 : f64 to f32
      %164 = arith.addf %in, %163 : f32
      linalg.yield %164 : f32
    } -> tensor<8x128x1xf32>
    %136 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%135 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = math.rsqrt %in : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %137 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%124, %134 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.subf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %138 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%137, %136 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %139 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%138, %cst_12 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %140 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%139, %cst_11 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %collapsed_83 = tensor.collapse_shape %140 [[0, 1], [2]] : tensor<8x128x256xf32> into tensor<1024x256xf32>
    %transposed_84 = linalg.transpose ins(%cst_10 : tensor<1024x256xf32>) outs(%79 : tensor<256x1024xf32>) permutation = [1, 0] 
    %141 = linalg.matmul ins(%collapsed_83, %transposed_84 : tensor<1024x256xf32>, tensor<256x1024xf32>) outs(%81 : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
    %142 = linalg.generic {indexing_maps = [#map3, #map4, #map3], iterator_types = ["parallel", "parallel"]} ins(%141, %cst_9 : tensor<1024x1024xf32>, tensor<1024xf32>) outs(%80 : tensor<1024x1024xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<1024x1024xf32>
    %expanded_85 = tensor.expand_shape %142 [[0, 1], [2]] output_shape [8, 128, 1024] : tensor<1024x1024xf32> into tensor<8x128x1024xf32>
    %143 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%expanded_85 : tensor<8x128x1024xf32>) outs(%84 : tensor<8x128x1024xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.divf %in, %cst_36 : f32
      %164 = math.erf %163 : f32
      %165 = arith.addf %164, %cst_2 : f32
      %166 = arith.mulf %165, %cst_3 : f32
      %167 = arith.mulf %in, %166 : f32
      linalg.yield %167 : f32
    } -> tensor<8x128x1024xf32>
    %collapsed_86 = tensor.collapse_shape %143 [[0, 1], [2]] : tensor<8x128x1024xf32> into tensor<1024x1024xf32>
    %transposed_87 = linalg.transpose ins(%cst_8 : tensor<256x1024xf32>) outs(%86 : tensor<1024x256xf32>) permutation = [1, 0] 
    %144 = linalg.matmul ins(%collapsed_86, %transposed_87 : tensor<1024x1024xf32>, tensor<1024x256xf32>) outs(%87 : tensor<1024x256xf32>) -> tensor<1024x256xf32>
    %145 = linalg.generic {indexing_maps = [#map3, #map4, #map3], iterator_types = ["parallel", "parallel"]} ins(%144, %cst_7 : tensor<1024x256xf32>, tensor<256xf32>) outs(%86 : tensor<1024x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<1024x256xf32>
    %expanded_88 = tensor.expand_shape %145 [[0, 1], [2]] output_shape [8, 128, 256] : tensor<1024x256xf32> into tensor<8x128x256xf32>
    %146 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%124, %expanded_88 : tensor<8x128x256xf32>, tensor<8x128x256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %147 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%146 : tensor<8x128x256xf32>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f32, %out: f64):
      %163 = arith.extf %in : f32 to f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %148 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%147 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %149 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%148 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %150 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%147, %149 : tensor<8x128x256xf64>, tensor<8x128x1xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.subf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %151 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%150, %150 : tensor<8x128x256xf64>, tensor<8x128x256xf64>) outs(%0 : tensor<8x128x256xf64>) {
    ^bb0(%in: f64, %in_89: f64, %out: f64):
      %163 = arith.mulf %in, %in_89 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x256xf64>
    %152 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%151 : tensor<8x128x256xf64>) outs(%3 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.addf %in, %out : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %153 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%152 : tensor<8x128x1xf64>) outs(%2 : tensor<8x128x1xf64>) {
    ^bb0(%in: f64, %out: f64):
      %163 = arith.divf %in, %cst_34 : f64
      linalg.yield %163 : f64
    } -> tensor<8x128x1xf64>
    %154 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%153 : tensor<8x128x1xf64>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f64, %out: f32):
      %163 = arith.truncf %in : f64 to f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %155 = linalg.generic {indexing_maps = [#map, #map1], iterator_types = ["parallel", "parallel", "reduction"]} ins(%146 : tensor<8x128x256xf32>) outs(%12 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.addf %in, %out : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %156 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%155 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.divf %in, %cst_35 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %157 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%154 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = arith.truncf %cst_33 : f64 to f32
      %164 = arith.addf %in, %163 : f32
      linalg.yield %164 : f32
    } -> tensor<8x128x1xf32>
    %158 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%157 : tensor<8x128x1xf32>) outs(%10 : tensor<8x128x1xf32>) {
    ^bb0(%in: f32, %out: f32):
      %163 = math.rsqrt %in : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x1xf32>
    %159 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%146, %156 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.subf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %160 = linalg.generic {indexing_maps = [#map, #map1, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%159, %158 : tensor<8x128x256xf32>, tensor<8x128x1xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %161 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%160, %cst_6 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.mulf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    %162 = linalg.generic {indexing_maps = [#map, #map2, #map], iterator_types = ["parallel", "parallel", "parallel"]} ins(%161, %cst_5 : tensor<8x128x256xf32>, tensor<256xf32>) outs(%17 : tensor<8x128x256xf32>) {
    ^bb0(%in: f32, %in_89: f32, %out: f32):
      %163 = arith.addf %in, %in_89 : f32
      linalg.yield %163 : f32
    } -> tensor<8x128x256xf32>
    return %162 : tensor<8x128x256xf32>
  }
}

