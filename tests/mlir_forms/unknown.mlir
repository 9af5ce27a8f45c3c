!pair = !mine.pair<i32, tensor<4xf32>>
#fast = #mine.mode<fast, level = 3>
module {
  mine.machine @m options {speed = #fast} {
    %in = mine.source : i32
    %a, %b:2 = mine.split %in by 3 using #fast {note = "x"} : i32 -> !pair, (i32, i32)
    %c = mine.grid (%x, %y) = (%b#0, %b#1) in [0:4, %b#1] { %d = mine.cell %x at %y : i32 mine.done %d : i32 } : (i32, i32) -> i32
    "mine.keep"(%a, %c)[^bb1] <{flag, text = "}"}> ({
    ^bb0(%q: i32 loc("here")):
      "mine.end"() : () -> ()
    }, {}) {k = dense<[[1, 2], [3, 4]]> : tensor<2x2xi8>} : (!pair, i32) -> () loc(callsite("f"("a.c":1:2) at "g"))
  ^bb1:
    mine.stop loc(fused["a", "b"])
  }
}
