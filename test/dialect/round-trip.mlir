// RUN: rondo-opt %s | rondo-opt | FileCheck %s
// RUN: rondo-opt %s --mlir-print-op-generic | rondo-opt | FileCheck %s
// RUN: rondo-opt %s --emit-bytecode | rondo-opt | FileCheck %s

// Every op prints as it is read, in its own and the generic assembly and through bytecode.

#t = #rondo.axes<[t]>
#d = #rondo.axes<[d]>
#td = #rondo.axes<[t, d]>
#hk = #rondo.axes<[h, k]>
#thk = #rondo.axes<[t, h, k]>
#tgk = #rondo.axes<[t, g, k]>
#th = #rondo.axes<[t, h]>
#h = #rondo.axes<[h]>
#vd = #rondo.axes<[v, d]>
#tv = #rondo.axes<[t, v]>

// CHECK-LABEL: @sources
func.func @sources() -> (tensor<8x4xf32, #vd>, tensor<f32>, tensor<4xf32, #d>, tensor<?xf32, #t>) {
  // CHECK: rondo.param "embed.weight" init "normal(0.02)" : tensor<8x4xf32, #rondo.axes<[v, d]>>
  %0 = rondo.param "embed.weight" init "normal(0.02)" : tensor<8x4xf32, #vd>
  // CHECK: rondo.constant dense<1.000000e+00> : tensor<f32>
  %1 = rondo.constant dense<1.0> : tensor<f32>
  // CHECK: rondo.index : tensor<4xf32, #{{.*}}>
  %2 = rondo.index : tensor<4xf32, #d>
  // CHECK: rondo.position : tensor<?xf32, #rondo.axes<[t]>>
  %3 = rondo.position : tensor<?xf32, #t>
  return %0, %1, %2, %3 : tensor<8x4xf32, #vd>, tensor<f32>, tensor<4xf32, #d>, tensor<?xf32, #t>
}

// CHECK-LABEL: @array_ops
func.func @array_ops(%ids: tensor<?xi64, #t>, %table: tensor<8x4xf32, #vd>, %x: tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td> {
  // CHECK: rondo.gather %{{.*}}[%{{.*}}] along v : tensor<8x4xf32, #rondo.axes<[v, d]>>, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?x4xf32, #rondo.axes<[t, d]>>
  %0 = rondo.gather %table[%ids] along v : tensor<8x4xf32, #vd>, tensor<?xi64, #t> -> tensor<?x4xf32, #td>
  // CHECK: rondo.map add(%{{.*}}, %{{.*}}) : (tensor<?x4xf32, #rondo.axes<[t, d]>>, tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>>
  %1 = rondo.map add(%0, %x) : (tensor<?x4xf32, #td>, tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td>
  // CHECK: rondo.reduce max %{{.*}} over [d] : tensor<?x4xf32, #rondo.axes<[t, d]>> -> tensor<?xf32, #rondo.axes<[t]>>
  %2 = rondo.reduce max %1 over [d] : tensor<?x4xf32, #td> -> tensor<?xf32, #t>
  // CHECK: rondo.contract %{{.*}}, %{{.*}} over [d] : tensor<?x4xf32, #rondo.axes<[t, d]>>, tensor<8x4xf32, #rondo.axes<[v, d]>> -> tensor<?x8xf32, #{{.*}}>
  %3 = rondo.contract %1, %table over [d] : tensor<?x4xf32, #td>, tensor<8x4xf32, #vd> -> tensor<?x8xf32, #tv>
  // CHECK: rondo.pick %{{.*}}[%{{.*}}] along v : tensor<?x8xf32, #{{.*}}>, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?xf32, #rondo.axes<[t]>>
  %4 = rondo.pick %3[%ids] along v : tensor<?x8xf32, #tv>, tensor<?xi64, #t> -> tensor<?xf32, #t>
  // CHECK: rondo.view %{{.*}} by #{{.*}} : tensor<?x4xf32, #rondo.axes<[t, d]>> -> tensor<?x2x2xf32, #{{.*}}>
  %5 = rondo.view %1 by affine_map<(h, k) -> (h * 2 + k)> : tensor<?x4xf32, #td> -> tensor<?x2x2xf32, #thk>
  // CHECK: rondo.concat %{{.*}}, %{{.*}} along d : (tensor<?x4xf32, #rondo.axes<[t, d]>>, tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x8xf32, #rondo.axes<[t, d]>>
  %6 = rondo.concat %0, %x along d : (tensor<?x4xf32, #td>, tensor<?x4xf32, #td>) -> tensor<?x8xf32, #td>
  // CHECK: rondo.round %{{.*}} along d by 32 : tensor<?x4xf32, #rondo.axes<[t, d]>>
  %rounded = rondo.round %x along d by 32 : tensor<?x4xf32, #td>
  // CHECK: rondo.cumsum %{{.*}} along d : tensor<?x4xf32, #rondo.axes<[t, d]>>
  %7 = rondo.cumsum %x along d : tensor<?x4xf32, #td>
  // CHECK: rondo.propagate %{{.*}}, %{{.*}} along d : tensor<?x4xf32, #rondo.axes<[t, d]>>, tensor<?x4xf32, #rondo.axes<[t, d]>> -> tensor<?x4xf32, #rondo.axes<[t, d]>>
  %8 = rondo.propagate %x, %7 along d : tensor<?x4xf32, #td>, tensor<?x4xf32, #td> -> tensor<?x4xf32, #td>
  %turn = rondo.constant dense<0.5> : tensor<2x2xf32, #rondo.axes<[i, j]>>
  %start = rondo.constant dense<1.0> : tensor<2x4xf32, #rondo.axes<[i, d]>>
  // CHECK: rondo.propagate %{{.*}}, %{{.*}} along d mixing [i, j] : tensor<2x2xf32, {{.*}}>, tensor<2x4xf32, {{.*}}> -> tensor<2x4xf32, {{.*}}>
  %9 = rondo.propagate %turn, %start along d mixing [i, j] : tensor<2x2xf32, #rondo.axes<[i, j]>>, tensor<2x4xf32, #rondo.axes<[i, d]>> -> tensor<2x4xf32, #rondo.axes<[i, d]>>
  // CHECK: rondo.solve %{{.*}}, %{{.*}} along i from j : tensor<2x2xf32, {{.*}}>, tensor<2x4xf32, {{.*}}> -> tensor<2x4xf32, {{.*}}>
  %10 = rondo.solve %turn, %start along i from j : tensor<2x2xf32, #rondo.axes<[i, j]>>, tensor<2x4xf32, #rondo.axes<[i, d]>> -> tensor<2x4xf32, #rondo.axes<[i, d]>>
  return %8 : tensor<?x4xf32, #td>
}

// CHECK-LABEL: @other_tokens
func.func @other_tokens(%x: tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td> attributes {rondo.kernel = "rows"} {
  // CHECK: rondo.shift %{{.*}} by 2 "conv" : tensor<?x4xf32, #rondo.axes<[t, d]>>
  %0 = rondo.shift %x by 2 "conv" : tensor<?x4xf32, #td>
  // CHECK: rondo.last %{{.*}} : tensor<?x4xf32, #rondo.axes<[t, d]>>
  %1 = rondo.last %0 : tensor<?x4xf32, #td>
  return %1 : tensor<?x4xf32, #td>
}

// CHECK-LABEL: @recurrence
func.func @recurrence(%x: tensor<?x4xf32, #td>, %w: tensor<4xf32, #d>) -> tensor<?x4xf32, #td> {
  %zero = rondo.constant dense<0.0> : tensor<4xf32, #d>
  // CHECK: rondo.recur "S" inputs(%{{.*}}, %{{.*}} : tensor<?x4xf32, #rondo.axes<[t, d]>>, tensor<4xf32, #rondo.axes<[d]>>) states("S" = %{{.*}} : tensor<4xf32, #rondo.axes<[d]>>) -> (tensor<?x4xf32, #rondo.axes<[t, d]>>) body(%[[X:.*]], %[[W:.*]], %[[S:.*]]) {
  %y = rondo.recur "S" inputs(%x, %w : tensor<?x4xf32, #td>, tensor<4xf32, #d>) states("S" = %zero : tensor<4xf32, #d>) -> (tensor<?x4xf32, #td>)
      body(%x_t, %w_t, %S) {
    // CHECK: rondo.map mul(%[[S]], %[[W]])
    %0 = rondo.map mul(%S, %w_t) : (tensor<4xf32, #d>, tensor<4xf32, #d>) -> tensor<4xf32, #d>
    %1 = rondo.map add(%0, %x_t) : (tensor<4xf32, #d>, tensor<4xf32, #d>) -> tensor<4xf32, #d>
    // CHECK: rondo.yield(%{{.*}} : tensor<4xf32, #rondo.axes<[d]>>) (%{{.*}} : tensor<4xf32, #rondo.axes<[d]>>)
    rondo.yield (%1 : tensor<4xf32, #d>) (%1 : tensor<4xf32, #d>)
  }
  // CHECK: every 16 -> (tensor<?x4xf32, #rondo.axes<[t, d]>>) body(%{{.*}}, %{{.*}}, %{{.*}}) {
  %z = rondo.recur "M" inputs(%x : tensor<?x4xf32, #td>) states("M" = %zero : tensor<4xf32, #d>) every 16 -> (tensor<?x4xf32, #td>)
      body(%x_t, %M, %M_start) {
    %0 = rondo.map add(%M, %x_t) : (tensor<4xf32, #d>, tensor<4xf32, #d>) -> tensor<4xf32, #d>
    rondo.yield (%0 : tensor<4xf32, #d>) (%M_start : tensor<4xf32, #d>)
  }
  // CHECK: rondo.scan "S" inputs({{.*}}) states("S" = {{.*}}) chunk 2 form "chunked" transition "none" -> (tensor<?x4xf32, #rondo.axes<[t, d]>>)
  // CHECK-SAME: token(%{{.*}}, %{{.*}}) {
  // CHECK: block(%[[XC:.*]], %{{.*}}) {
  %s = rondo.scan "S" inputs(%x : tensor<?x4xf32, #td>) states("S" = %zero : tensor<4xf32, #d>) chunk 2 form "chunked" transition "none"
      -> (tensor<?x4xf32, #td>) token(%x_t, %S) {
    %0 = rondo.map add(%S, %x_t) : (tensor<4xf32, #d>, tensor<4xf32, #d>) -> tensor<4xf32, #d>
    rondo.yield (%0 : tensor<4xf32, #d>) (%0 : tensor<4xf32, #d>)
  } block(%x_c, %S) {
    // CHECK: rondo.cumsum %[[XC]] along c : tensor<2x4xf32, #{{.*}}>
    %0 = rondo.cumsum %x_c along c : tensor<2x4xf32, #rondo.axes<[c, d]>>
    %1 = rondo.map add(%0, %S) : (tensor<2x4xf32, #rondo.axes<[c, d]>>, tensor<4xf32, #d>) -> tensor<2x4xf32, #rondo.axes<[c, d]>>
    %2 = rondo.view %1 by affine_map<(d) -> (1, d)> : tensor<2x4xf32, #rondo.axes<[c, d]>> -> tensor<4xf32, #d>
    rondo.yield (%2 : tensor<4xf32, #d>) (%1 : tensor<2x4xf32, #rondo.axes<[c, d]>>)
  }
  return %y : tensor<?x4xf32, #td>
}

// CHECK-LABEL: @reading_other_tokens
func.func @reading_other_tokens(%q: tensor<?x2x3xf32, #thk>, %k: tensor<?x2x3xf32, #thk>, %sink: tensor<2xf32, #h>) -> tensor<?x2x3xf32, #thk> {
  // CHECK: rondo.over softmax "attn" queries(%{{.*}} : tensor<?x2x3xf32, #rondo.axes<[t, h, k]>>) keys(%{{.*}} : tensor<?x2x3xf32, #rondo.axes<[t, h, k]>>) shared(%{{.*}} : tensor<2xf32, #{{.*}}>) -> tensor<?x2x3xf32, #rondo.axes<[t, h, k]>> body(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {
  %0 = rondo.over softmax "attn" queries(%q : tensor<?x2x3xf32, #thk>) keys(%k : tensor<?x2x3xf32, #thk>) shared(%sink : tensor<2xf32, #h>)
      -> tensor<?x2x3xf32, #thk> body(%t, %s, %q_t, %k_s, %sink_h) {
    %seen = rondo.map le(%s, %t) : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %dot = rondo.contract %q_t, %k_s over [k] : tensor<2x3xf32, #hk>, tensor<2x3xf32, #hk> -> tensor<2xf32, #h>
    %score = rondo.map add(%dot, %sink_h) : (tensor<2xf32, #h>, tensor<2xf32, #h>) -> tensor<2xf32, #h>
    // CHECK: rondo.yield() (%{{.*}}, %{{.*}}, %{{.*}} : tensor<i1>, tensor<2xf32, #{{.*}}>, tensor<2x3xf32, #{{.*}}>)
    rondo.yield () (%seen, %score, %k_s : tensor<i1>, tensor<2xf32, #h>, tensor<2x3xf32, #hk>)
  }
  // CHECK: rondo.attend sum "conv" causal window 4 keys(%{{.*}} : tensor<?x2x3xf32, #rondo.axes<[t, h, k]>>) -> tensor<?x2x3xf32, #rondo.axes<[t, h, k]>> body(%{{.*}}, %{{.*}}, %{{.*}}) {
  %1 = rondo.attend sum "conv" causal window 4 keys(%k : tensor<?x2x3xf32, #thk>) -> tensor<?x2x3xf32, #thk> body(%t, %s, %k_s) {
    %all = rondo.constant dense<true> : tensor<i1>
    %zero = rondo.constant dense<0.0> : tensor<f32>
    rondo.yield () (%all, %zero, %k_s : tensor<i1>, tensor<f32>, tensor<?x2x3xf32, #rondo.axes<[s, h, k]>>)
  }
  // CHECK: rondo.call @other_tokens(%{{.*}}) at "layers.0" : (tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>>
  %x = rondo.view %0 by affine_map<(d) -> (0, d mod 3)> : tensor<?x2x3xf32, #thk> -> tensor<?x4xf32, #td>
  %2 = rondo.call @other_tokens(%x) at "layers.0" : (tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td>
  // CHECK: rondo.launch @other_tokens(%{{.*}}) : (tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>>
  %3 = rondo.launch @other_tokens(%x) : (tensor<?x4xf32, #td>) -> tensor<?x4xf32, #td>
  return %1 : tensor<?x2x3xf32, #thk>
}
