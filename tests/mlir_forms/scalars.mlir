func.func @f(%a: i32, %b: i32, %x: f32, %v: vector<4xf32>) -> (i1, f32) {
  %c = arith.constant 0x7F800000 : f32
  %t = arith.constant true
  %d = arith.constant dense<[1, 2, 3]> : tensor<3xi64>
  %0 = arith.cmpi slt, %a, %b : i32
  %1 = arith.cmpf oeq, %v, %v : vector<4xf32>
  %2 = arith.select %0, %x, %c : f32
  %3, %4 = arith.addui_extended %a, %b : i32, i1
  %5 = arith.extsi %a : i32 to i64
  %6 = arith.index_cast %5 : i64 to index
  %7 = math.fma %x, %x, %2 : f32
  %8 = math.exp %7 fastmath<fast> : f32
  %9 = arith.addf %8, %x fastmath<nnan,ninf> : f32
  %10 = math.fpowi %9, %a : f32, i32
  %11 = arith.andi %0, %t : i1
  return %11, %10 : i1, f32
}
