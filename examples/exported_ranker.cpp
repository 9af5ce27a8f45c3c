// Which of a few kernel configurations is fastest, without Python: the ranker as C.
//
//   perfmodel export default --format c --device rtx-3090 --space clblast_sgemm --dtype fp32 --name sgemm_3090
//   cc -std=c99 -O2 -c sgemm_3090.c
//   c++ -O2 exported_ranker.cpp sgemm_3090.o -lm -o exported_ranker && ./exported_ranker
#include <cstdio>
#include <initializer_list>

#include "sgemm_3090.h"

int main() {
  sgemm_3090_input in{};  // what is left at 0 is 0: STRM, STRN
  in.batch = 1, in.m = 4096, in.n = 4096, in.k = 4096;
  in.KWG = 32, in.KWI = 2, in.SA = 1, in.SB = 1;
  in.MDIMC = in.MDIMA = 16, in.NDIMC = in.NDIMB = 8;
  double best_s = 1e9;
  sgemm_3090_input best{};
  for (double mwg : {32.0, 64.0, 128.0})
    for (double nwg : {32.0, 64.0, 128.0})
      for (double vector : {1.0, 2.0, 4.0}) {
        in.MWG = mwg, in.NWG = nwg, in.VWM = in.VWN = vector;
        sgemm_3090_output out;
        if (int why = sgemm_3090(&in, &out)) {
          std::printf("%3.0f x %3.0f, vectors of %.0f: refused, reason %d\n", mwg, nwg, vector, why);
        } else if (out.latency_s < best_s) {
          best_s = out.latency_s, best = in;
        }
      }
  std::printf("fastest: %.0f x %.0f, vectors of %.0f: %.3f ms\n", best.MWG, best.NWG, best.VWM, 1e3 * best_s);
}
