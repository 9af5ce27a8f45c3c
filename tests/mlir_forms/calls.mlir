func.func private @decl(tensor<4xf32>, i32) -> (tensor<4xf32>, i32)
func.func @f(%a: tensor<4xf32>, %i: i32) -> i32 attributes {llvm.emit_c_interface} {
  %0:2 = call @decl(%a, %i) : (tensor<4xf32>, i32) -> (tensor<4xf32>, i32)
  %g = constant @decl : (tensor<4xf32>, i32) -> (tensor<4xf32>, i32)
  %1:2 = call_indirect %g(%0#0, %0#1) : (tensor<4xf32>, i32) -> (tensor<4xf32>, i32)
  return %1#1 : i32
}
