module {
  func.func @main_graph(%x: tensor<1x3x32x32xf32> {onnx.name = "x"}) -> (tensor<1x8x32x32xf32> {onnx.name = "y"}) {
    %0 = onnx.Constant dense<1.0> : tensor<8x3x3x3xf32>
    %1 = "onnx.NoValue"() {value} : () -> none
    %2 = "onnx.Conv"(%x, %0, %1) {auto_pad = "NOTSET", group = 1 : si64, kernel_shape = [3, 3], pads = [1, 1, 1, 1]} : (tensor<1x3x32x32xf32>, tensor<8x3x3x3xf32>, none) -> tensor<1x8x32x32xf32>
    onnx.Return %2 : tensor<1x8x32x32xf32>
  }
  "onnx.EntryPoint"() {func = @main_graph} : () -> ()
}
