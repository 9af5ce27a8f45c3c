#set = affine_set<(d0)[s0] : (d0 - 1 >= 0, -d0 + s0 >= 0)>
#map = affine_map<(d0) -> (d0 * 4)>
module {
  func.func @f(%n: index, %A: memref<?x?xf32>, %c: i1) -> f32 {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %z = arith.constant 0.0 : f32
    %r = scf.if %c -> (f32) {
      scf.yield %z : f32
    } else {
      %q = arith.addf %z, %z : f32
      scf.yield %q : f32
    }
    scf.if %c {
      memref.store %r, %A[%c0, %c1] : memref<?x?xf32>
    }
    %w:2 = scf.while (%i = %c0, %s = %z) : (index, f32) -> (index, f32) {
      %k = arith.cmpi ult, %i, %n : index
      scf.condition(%k) %i, %s : index, f32
    } do {
    ^bb0(%i: index, %s: f32):
      %i1 = arith.addi %i, %c1 : index
      scf.yield %i1, %s : index, f32
    }
    scf.forall (%i, %j) in (%n, 8) {
      memref.store %z, %A[%i, %j] : memref<?x?xf32>
    }
    %p = scf.parallel (%i, %j) = (%c0, %c0) to (%n, %n) step (%c1, %c1) init (%z) -> f32 {
      %e = memref.load %A[%i, %j] : memref<?x?xf32>
      scf.reduce(%e : f32) {
      ^bb0(%l: f32, %m: f32):
        %o = arith.addf %l, %m : f32
        scf.reduce.return %o : f32
      }
    }
    %sw = scf.index_switch %n -> f32
    case 1 {
      scf.yield %z : f32
    }
    default {
      scf.yield %p : f32
    }
    %acc = affine.for %i = 0 to %n iter_args(%x = %sw) -> (f32) {
      %y = affine.for %j = #map(%i) to min affine_map<(d0)[s0] -> (d0 + 32, s0)>(%i)[%n] step 2 iter_args(%g = %x) -> f32 {
        %l = affine.load %A[%i + 1, %j * 2 - 1] : memref<?x?xf32>
        %h = arith.addf %g, %l : f32
        affine.yield %h : f32
      }
      affine.yield %y : f32
    }
    affine.parallel (%i, %j) = (0, 0) to (%n, 10) step (2, 1) {
      affine.if #set(%i)[%n] {
        %ap = affine.apply #map(%j)
        affine.store %acc, %A[%i, %ap] : memref<?x?xf32>
      } else {
        affine.store %z, %A[%i, symbol(%n)] : memref<?x?xf32>
      }
    }
    cf.cond_br %c, ^bb1(%acc : f32), ^bb2
  ^bb1(%v: f32):
    cf.br ^bb3(%v : f32)
  ^bb2:
    cf.br ^bb3(%z : f32)
  ^bb3(%u: f32):
    return %u : f32
  }
}
