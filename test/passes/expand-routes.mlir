// RUN: rondo-opt %s -rondo-expand-routes -verify-diagnostics -split-input-file | FileCheck %s

// A route's body runs on all tokens and choices: its tables are gathered by the ids, and what reads nothing of the expert stays the token's.

#tj = #rondo.axes<[t, j]>
#td = #rondo.axes<[t, d]>
#eod = #rondo.axes<[e, o, d]>

// CHECK: #[[MAP:.*]] = affine_map<(d0, d1) -> (d0, d1 + 1)>
// CHECK-LABEL: func.func @experts
// CHECK: %[[W:.*]] = rondo.gather %{{.*}}[%{{.*}}] along e : tensor<8x3x4xf32, #rondo.axes<[e, o, d]>>, tensor<?x2xf32, #rondo.axes<[t, j]>> -> tensor<?x2x3x4xf32, #rondo.axes<[t, j, o, d]>>
// CHECK: %[[X:.*]] = rondo.map tanh(%{{.*}}) : (tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?x4xf32, #rondo.axes<[t, d]>>
// CHECK: rondo.contract %[[W]], %[[X]] over [d] : {{.*}} -> tensor<?x2x3xf32, #rondo.axes<[t, j, o]>>
// CHECK: rondo.view %{{.*}} by #[[MAP]] : tensor<?x2x3xf32, #rondo.axes<[t, j, o]>> -> tensor<?x2x2xf32, #rondo.axes<[t, j, o]>>
func.func @experts(%x: tensor<?x4xf32, #td>, %ids: tensor<?x2xf32, #tj>, %w: tensor<8x3x4xf32, #eod>) -> tensor<?x2x2xf32, #rondo.axes<[t, j, o]>> {
  // expected-remark @+1 {{a token reads 2 of 8 along 'e': 96 of 384 bytes}}
  %y = rondo.route %ids : tensor<?x2xf32, #tj> along e inputs(%x : tensor<?x4xf32, #td>) tables(%w : tensor<8x3x4xf32, #eod>)
      -> tensor<?x2x2xf32, #rondo.axes<[t, j, o]>> body(%x_t, %w_e) {
    %a = rondo.map tanh(%x_t) : (tensor<4xf32, #rondo.axes<[d]>>) -> tensor<4xf32, #rondo.axes<[d]>>
    %p = rondo.contract %w_e, %a over [d] : tensor<3x4xf32, #rondo.axes<[o, d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<3xf32, #rondo.axes<[o]>>
    %q = rondo.view %p by affine_map<(o) -> (o + 1)> : tensor<3xf32, #rondo.axes<[o]>> -> tensor<2xf32, #rondo.axes<[o]>>
    rondo.yield () (%q : tensor<2xf32, #rondo.axes<[o]>>)
  }
  return %y : tensor<?x2x2xf32, #rondo.axes<[t, j, o]>>
}

// -----

// Joining what varies from choice to choice with what does not is refused.
#tj = #rondo.axes<[t, j]>
#td = #rondo.axes<[t, d]>
#ed = #rondo.axes<[e, d]>

func.func @joined(%x: tensor<?x4xf32, #td>, %ids: tensor<?x2xf32, #tj>, %w: tensor<8x4xf32, #ed>) -> tensor<?x2x8xf32, #rondo.axes<[t, j, d]>> {
  // expected-remark @+1 {{a token reads 2 of 8}}
  %y = rondo.route %ids : tensor<?x2xf32, #tj> along e inputs(%x : tensor<?x4xf32, #td>) tables(%w : tensor<8x4xf32, #ed>)
      -> tensor<?x2x8xf32, #rondo.axes<[t, j, d]>> body(%x_t, %w_e) {
    // expected-error @+1 {{joins values that vary from choice to choice with one that does not}}
    %p = rondo.concat %w_e, %x_t along d : (tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>>) -> tensor<8xf32, #rondo.axes<[d]>>
    rondo.yield () (%p : tensor<8xf32, #rondo.axes<[d]>>)
  }
  return %y : tensor<?x2x8xf32, #rondo.axes<[t, j, d]>>
}
