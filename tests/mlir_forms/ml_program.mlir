module {
  ml_program.global private mutable @state(dense<0.0> : tensor<4xf32>) : tensor<4xf32>
  ml_program.func @f(%a: tensor<4xf32>) -> tensor<4xf32> {
    %0 = ml_program.global_load @state : tensor<4xf32>
    %1 = arith.addf %0, %a : tensor<4xf32>
    ml_program.return %1 : tensor<4xf32>
  }
}
