module {
  func.func @main(%arg0: tensor<8x3x224x224xf32>) -> tensor<8x100xf32> {
    %0 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<64xf32>}> : () -> tensor<64xf32>
    %1 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<64xf32>}> : () -> tensor<64xf32>
    %2 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<64xf32>}> : () -> tensor<64xf32>
    %3 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<64xf32>}> : () -> tensor<64xf32>
    %4 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<1xf32>}> : () -> tensor<1xf32>
    %5 = "tosa.const"() <{values = dense<0.000000e+00> : tensor<64xf32>}> : () -> tensor<64xf32>
    %6 = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %7 = tosa.const_shape  {values = dense<[1, 64, 1, 1]> : tensor<4xindex>} : () -> !tosa.shape<4>
    %8 = tosa.const_shape  {values = dense<[8, 64]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %9 = tosa.const_shape  {values = dense<[1, 8, 64]> : tensor<3xindex>} : () -> !tosa.shape<3>
    %10 = tosa.const_shape  {values = dense<[8, 100]> : tensor<2xindex>} : () -> !tosa.shape<2>
    %11 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<64x7x7x3xf32>}> : () -> tensor<64x7x7x3xf32>
    %12 = "tosa.const"() <{values = dense<9.99999974E-6> : tensor<1xf32>}> : () -> tensor<1xf32>
    %13 = "tosa.const"() <{values = dense<5.000000e-01> : tensor<1xf32>}> : () -> tensor<1xf32>
    %14 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x1x1xf32>}> : () -> tensor<1x64x1x1xf32>
    %15 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x1x1xf32>}> : () -> tensor<1x64x1x1xf32>
    %16 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x1x1xf32>}> : () -> tensor<1x64x1x1xf32>
    %17 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<64x3x3x64xf32>}> : () -> tensor<64x3x3x64xf32>
    %18 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x1x1xf32>}> : () -> tensor<1x64x1x1xf32>
    %19 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x1x1xf32>}> : () -> tensor<1x64x1x1xf32>
    %20 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x1x1xf32>}> : () -> tensor<1x64x1x1xf32>
    %21 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<64x3x3x64xf32>}> : () -> tensor<64x3x3x64xf32>
    %22 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x1x1xf32>}> : () -> tensor<1x64x1x1xf32>
    %23 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x1x1xf32>}> : () -> tensor<1x64x1x1xf32>
    %24 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x1x1xf32>}> : () -> tensor<1x64x1x1xf32>
    %25 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<3x3x64x1xf32>}> : () -> tensor<3x3x64x1xf32>
    %26 = "tosa.const"() <{values = dense<0.00127551018> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %27 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x64x100xf32>}> : () -> tensor<1x64x100xf32>
    %28 = "tosa.const"() <{values = dense_resource<__elided__> : tensor<1x100xf32>}> : () -> tensor<1x100xf32>
    %29 = tosa.transpose %arg0 {perms = array<i32: 0, 2, 3, 1>} : (tensor<8x3x224x224xf32>) -> tensor<8x224x224x3xf32>
    %30 = tosa.conv2d %29, %11, %5, %4, %4 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 3, 2, 3, 2>, stride = array<i64: 2, 2>} : (tensor<8x224x224x3xf32>, tensor<64x7x7x3xf32>, tensor<64xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<8x112x112x64xf32>
    %31 = tosa.transpose %30 {perms = array<i32: 0, 3, 1, 2>} : (tensor<8x112x112x64xf32>) -> tensor<8x64x112x112xf32>
    %32 = tosa.add %12, %3 : (tensor<1xf32>, tensor<64xf32>) -> tensor<64xf32>
    %33 = tosa.pow %32, %13 : (tensor<64xf32>, tensor<1xf32>) -> tensor<64xf32>
    %34 = tosa.reciprocal %33 : (tensor<64xf32>) -> tensor<64xf32>
    %35 = tosa.sub %31, %14 : (tensor<8x64x112x112xf32>, tensor<1x64x1x1xf32>) -> tensor<8x64x112x112xf32>
    %36 = tosa.reshape %34, %7 : (tensor<64xf32>, !tosa.shape<4>) -> tensor<1x64x1x1xf32>
    %37 = tosa.mul %35, %36, %6 : (tensor<8x64x112x112xf32>, tensor<1x64x1x1xf32>, tensor<1xi8>) -> tensor<8x64x112x112xf32>
    %38 = tosa.mul %37, %15, %6 : (tensor<8x64x112x112xf32>, tensor<1x64x1x1xf32>, tensor<1xi8>) -> tensor<8x64x112x112xf32>
    %39 = tosa.add %38, %16 : (tensor<8x64x112x112xf32>, tensor<1x64x1x1xf32>) -> tensor<8x64x112x112xf32>
    %40 = tosa.clamp %39 {max_val = 3.40282347E+38 : f32, min_val = 0.000000e+00 : f32} : (tensor<8x64x112x112xf32>) -> tensor<8x64x112x112xf32>
    %41 = tosa.transpose %40 {perms = array<i32: 0, 2, 3, 1>} : (tensor<8x64x112x112xf32>) -> tensor<8x112x112x64xf32>
    %42 = tosa.max_pool2d %41 {kernel = array<i64: 3, 3>, pad = array<i64: 1, 0, 1, 0>, stride = array<i64: 2, 2>} : (tensor<8x112x112x64xf32>) -> tensor<8x56x56x64xf32>
    %43 = tosa.transpose %42 {perms = array<i32: 0, 3, 1, 2>} : (tensor<8x56x56x64xf32>) -> tensor<8x64x56x56xf32>
    %44 = tosa.conv2d %42, %17, %5, %4, %4 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<8x56x56x64xf32>, tensor<64x3x3x64xf32>, tensor<64xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<8x56x56x64xf32>
    %45 = tosa.transpose %44 {perms = array<i32: 0, 3, 1, 2>} : (tensor<8x56x56x64xf32>) -> tensor<8x64x56x56xf32>
    %46 = tosa.add %12, %2 : (tensor<1xf32>, tensor<64xf32>) -> tensor<64xf32>
    %47 = tosa.pow %46, %13 : (tensor<64xf32>, tensor<1xf32>) -> tensor<64xf32>
    %48 = tosa.reciprocal %47 : (tensor<64xf32>) -> tensor<64xf32>
    %49 = tosa.sub %45, %18 : (tensor<8x64x56x56xf32>, tensor<1x64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %50 = tosa.reshape %48, %7 : (tensor<64xf32>, !tosa.shape<4>) -> tensor<1x64x1x1xf32>
    %51 = tosa.mul %49, %50, %6 : (tensor<8x64x56x56xf32>, tensor<1x64x1x1xf32>, tensor<1xi8>) -> tensor<8x64x56x56xf32>
    %52 = tosa.mul %51, %19, %6 : (tensor<8x64x56x56xf32>, tensor<1x64x1x1xf32>, tensor<1xi8>) -> tensor<8x64x56x56xf32>
    %53 = tosa.add %52, %20 : (tensor<8x64x56x56xf32>, tensor<1x64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %54 = tosa.clamp %53 {max_val = 3.40282347E+38 : f32, min_val = 0.000000e+00 : f32} : (tensor<8x64x56x56xf32>) -> tensor<8x64x56x56xf32>
    %55 = tosa.transpose %54 {perms = array<i32: 0, 2, 3, 1>} : (tensor<8x64x56x56xf32>) -> tensor<8x56x56x64xf32>
    %56 = tosa.conv2d %55, %21, %5, %4, %4 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<8x56x56x64xf32>, tensor<64x3x3x64xf32>, tensor<64xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<8x56x56x64xf32>
    %57 = tosa.transpose %56 {perms = array<i32: 0, 3, 1, 2>} : (tensor<8x56x56x64xf32>) -> tensor<8x64x56x56xf32>
    %58 = tosa.add %12, %1 : (tensor<1xf32>, tensor<64xf32>) -> tensor<64xf32>
    %59 = tosa.pow %58, %13 : (tensor<64xf32>, tensor<1xf32>) -> tensor<64xf32>
    %60 = tosa.reciprocal %59 : (tensor<64xf32>) -> tensor<64xf32>
    %61 = tosa.sub %57, %22 : (tensor<8x64x56x56xf32>, tensor<1x64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %62 = tosa.reshape %60, %7 : (tensor<64xf32>, !tosa.shape<4>) -> tensor<1x64x1x1xf32>
    %63 = tosa.mul %61, %62, %6 : (tensor<8x64x56x56xf32>, tensor<1x64x1x1xf32>, tensor<1xi8>) -> tensor<8x64x56x56xf32>
    %64 = tosa.mul %63, %23, %6 : (tensor<8x64x56x56xf32>, tensor<1x64x1x1xf32>, tensor<1xi8>) -> tensor<8x64x56x56xf32>
    %65 = tosa.add %64, %24 : (tensor<8x64x56x56xf32>, tensor<1x64x1x1xf32>) -> tensor<8x64x56x56xf32>
    %66 = tosa.add %65, %43 : (tensor<8x64x56x56xf32>, tensor<8x64x56x56xf32>) -> tensor<8x64x56x56xf32>
    %67 = tosa.clamp %66 {max_val = 3.40282347E+38 : f32, min_val = 0.000000e+00 : f32} : (tensor<8x64x56x56xf32>) -> tensor<8x64x56x56xf32>
    %68 = tosa.transpose %67 {perms = array<i32: 0, 2, 3, 1>} : (tensor<8x64x56x56xf32>) -> tensor<8x56x56x64xf32>
    %69 = tosa.depthwise_conv2d %68, %25, %0, %4, %4 {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 0, 1, 0>, stride = array<i64: 2, 2>} : (tensor<8x56x56x64xf32>, tensor<3x3x64x1xf32>, tensor<64xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<8x28x28x64xf32>
    %70 = tosa.transpose %69 {perms = array<i32: 0, 3, 1, 2>} : (tensor<8x28x28x64xf32>) -> tensor<8x64x28x28xf32>
    %71 = tosa.clamp %70 {max_val = 3.40282347E+38 : f32, min_val = 0.000000e+00 : f32} : (tensor<8x64x28x28xf32>) -> tensor<8x64x28x28xf32>
    %72 = tosa.reduce_sum %71 {axis = 2 : i32} : (tensor<8x64x28x28xf32>) -> tensor<8x64x1x28xf32>
    %73 = tosa.reduce_sum %72 {axis = 3 : i32} : (tensor<8x64x1x28xf32>) -> tensor<8x64x1x1xf32>
    %74 = tosa.reshape %73, %8 : (tensor<8x64x1x1xf32>, !tosa.shape<2>) -> tensor<8x64xf32>
    %75 = tosa.mul %74, %26, %6 : (tensor<8x64xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<8x64xf32>
    %76 = tosa.reshape %75, %9 : (tensor<8x64xf32>, !tosa.shape<3>) -> tensor<1x8x64xf32>
    %77 = tosa.matmul %76, %27, %4, %4 : (tensor<1x8x64xf32>, tensor<1x64x100xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x8x100xf32>
    %78 = tosa.reshape %77, %10 : (tensor<1x8x100xf32>, !tosa.shape<2>) -> tensor<8x100xf32>
    %79 = tosa.add %78, %28 : (tensor<8x100xf32>, tensor<1x100xf32>) -> tensor<8x100xf32>
    return %79 : tensor<8x100xf32>
  }
}

