module @m attributes {mhlo.num_partitions = 1 : i32} {
  func.func public @main(%a: tensor<4x8xf32>, %i: tensor<4x2xi32>, %s: tensor<i32>) -> (tensor<4x8xf32> {jax.result_info = ""}) {
    %z = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %m = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %c0 = stablehlo.constant dense<true> : tensor<i1>
    %0 = stablehlo.iota dim = 1 : tensor<4x8xi32>
    %1:2 = stablehlo.reduce(%a init: %m), (%0 init: %s) across dimensions = [1] : (tensor<4x8xf32>, tensor<4x8xi32>, tensor<f32>, tensor<i32>) -> (tensor<4xf32>, tensor<4xi32>)
     reducer(%x: tensor<f32>, %y: tensor<f32>) (%p: tensor<i32>, %q: tensor<i32>)  {
      %c = stablehlo.compare GE, %x, %y, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      %k = stablehlo.select %c, %x, %y : tensor<i1>, tensor<f32>
      %l = stablehlo.select %c, %p, %q : tensor<i1>, tensor<i32>
      stablehlo.return %k, %l : tensor<f32>, tensor<i32>
    }
    %2 = stablehlo.slice %a [0:4:2, 0:8] : (tensor<4x8xf32>) -> tensor<2x8xf32>
    %3 = stablehlo.pad %2, %z, low = [1, 0], high = [1, 0], interior = [0, 0] : (tensor<2x8xf32>, tensor<f32>) -> tensor<4x8xf32>
    %4 = stablehlo.transpose %3, dims = [1, 0] : (tensor<4x8xf32>) -> tensor<8x4xf32>
    %5 = stablehlo.dot_general %a, %4, contracting_dims = [1] x [0] : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>
    %6 = "stablehlo.gather"(%a, %i) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0, 1], index_vector_dim = 1>, indices_are_sorted = false, slice_sizes = array<i64: 1, 8>}> : (tensor<4x8xf32>, tensor<4x2xi32>) -> tensor<4x8xf32>
    %7 = "stablehlo.sort"(%6) <{dimension = 1 : i64, is_stable = true}> ({
    ^bb0(%x: tensor<f32>, %y: tensor<f32>):
      %c = stablehlo.compare LT, %x, %y, TOTALORDER : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %c : tensor<i1>
    }) : (tensor<4x8xf32>) -> tensor<4x8xf32>
    %8 = stablehlo.custom_call @Sharding(%7) {backend_config = "", mhlo.sharding = "{replicated}"} : (tensor<4x8xf32>) -> tensor<4x8xf32>
    %9 = "stablehlo.if"(%c0) ({
      stablehlo.return %8 : tensor<4x8xf32>
    }, {
      stablehlo.return %a : tensor<4x8xf32>
    }) : (tensor<i1>) -> tensor<4x8xf32>
    %10 = stablehlo.composite "my.op" %9, %a {composite_attributes = {n = 1 : i32}, decomposition = @decomposed} : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
    %11 = chlo.erf %10 : tensor<4x8xf32> -> tensor<4x8xf32>
    %12 = stablehlo.clamp %z, %11, %m : (tensor<f32>, tensor<4x8xf32>, tensor<f32>) -> tensor<4x8xf32>
    return %12 : tensor<4x8xf32>
  }
  func.func private @decomposed(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %0 = stablehlo.add %a, %b : tensor<4x8xf32>
    return %0 : tensor<4x8xf32>
  }
}
