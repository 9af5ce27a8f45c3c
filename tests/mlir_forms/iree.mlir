module {
  util.global private @weights = #util.byte_pattern<1> : tensor<16x16xf32>
  flow.executable private @ex {
    flow.executable.export public @entry workgroups(%w: index) -> (index, index, index) {
      flow.return %w, %w, %w : index, index, index
    }
    builtin.module {
      func.func @entry(%a: !flow.dispatch.tensor<readonly:tensor<16x16xf32>>, %b: !flow.dispatch.tensor<writeonly:tensor<16x16xf32>>) {
        %0 = flow.dispatch.tensor.load %a, offsets = [0, 0], sizes = [16, 16], strides = [1, 1] : !flow.dispatch.tensor<readonly:tensor<16x16xf32>> -> tensor<16x16xf32>
        flow.dispatch.tensor.store %0, %b, offsets = [0, 0], sizes = [16, 16], strides = [1, 1] : tensor<16x16xf32> -> !flow.dispatch.tensor<writeonly:tensor<16x16xf32>>
        return
      }
    }
  }
  util.func public @main(%arg0: !hal.buffer_view) -> !hal.buffer_view {
    %0 = hal.tensor.import %arg0 "input0" : !hal.buffer_view -> tensor<16x16xf32>
    %w = util.global.load @weights : tensor<16x16xf32>
    %c1 = arith.constant 1 : index
    %1 = flow.dispatch @ex::@entry[%c1](%0, %w) : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
    %2 = hal.tensor.export %1 "output0" : tensor<16x16xf32> -> !hal.buffer_view
    util.return %2 : !hal.buffer_view
  }
}
