module {
  func.func @forward(%x: !torch.vtensor<[?,16],f32>, %n: !torch.int) -> !torch.vtensor<[?,16],f32> {
    %s0 = torch.symbolic_int "s0" {min_val = 2, max_val = 64} : !torch.int
    torch.bind_symbolic_shape %x, [%s0], affine_map<()[s0] -> (s0, 16)> : !torch.vtensor<[?,16],f32>
    %w = torch.vtensor.literal(dense<1.000000e+00> : tensor<16x16xf32>) : !torch.vtensor<[16,16],f32>
    %true = torch.constant.bool true
    %int1 = torch.constant.int 1
    %str = torch.constant.str "none"
    %f = torch.constant.float 1.000000e-05
    %0 = torch.aten.mm %x, %w : !torch.vtensor<[?,16],f32>, !torch.vtensor<[16,16],f32> -> !torch.vtensor<[?,16],f32>
    %1 = torch.prim.Loop %n, %true, init(%0) {
    ^bb0(%i: !torch.int, %a: !torch.vtensor<[?,16],f32>):
      %b = torch.aten.add.Tensor %a, %0, %int1 : !torch.vtensor<[?,16],f32>, !torch.vtensor<[?,16],f32>, !torch.int -> !torch.vtensor<[?,16],f32>
      torch.prim.Loop.condition %true, iter(%b : !torch.vtensor<[?,16],f32>)
    } : (!torch.int, !torch.bool, !torch.vtensor<[?,16],f32>) -> !torch.vtensor<[?,16],f32>
    %2 = torch.prim.If %true -> (!torch.vtensor<[?,16],f32>) {
      torch.prim.If.yield %1 : !torch.vtensor<[?,16],f32>
    } else {
      torch.prim.If.yield %0 : !torch.vtensor<[?,16],f32>
    }
    %3 = torch.operator "my.custom"(%2) : (!torch.vtensor<[?,16],f32>) -> !torch.vtensor<[?,16],f32>
    %v:2 = torch.operator "my.split"(%3) : (!torch.vtensor<[?,16],f32>) -> (!torch.vtensor<[?,16],f32>, !torch.vtensor<[?,16],f32>)
    return %v#1 : !torch.vtensor<[?,16],f32>
  }
}
