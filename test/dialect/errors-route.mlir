// RUN: rondo-opt %s -split-input-file -verify-diagnostics

// What a route refuses; functions are named by the constraint.

#tj = #rondo.axes<[t, j]>
#td = #rondo.axes<[t, d]>
#ed = #rondo.axes<[e, d]>

func.func @route_c1(%ids: tensor<2xf32, #rondo.axes<[j]>>, %x: tensor<?x4xf32, #td>, %w: tensor<3x4xf32, #ed>) {
  // expected-error @+1 {{expects ids with the time axis 't' in front}}
  %y = rondo.route %ids : tensor<2xf32, #rondo.axes<[j]>> along e inputs(%x : tensor<?x4xf32, #td>) tables(%w : tensor<3x4xf32, #ed>)
      -> tensor<?x2xf32, #tj> body(%x_t, %w_e) {
    %p = rondo.contract %w_e, %x_t over [d] : tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<f32>
    rondo.yield () (%p : tensor<f32>)
  }
  return
}

// -----

#tj = #rondo.axes<[t, j]>
#td = #rondo.axes<[t, d]>

func.func @route_c2(%ids: tensor<?x2xf32, #tj>, %x: tensor<?x4xf32, #td>, %w: tensor<3x4xf32, #rondo.axes<[o, d]>>) {
  // expected-error @+1 {{expects an axis of the table, got 'e'}}
  %y = rondo.route %ids : tensor<?x2xf32, #tj> along e inputs(%x : tensor<?x4xf32, #td>) tables(%w : tensor<3x4xf32, #rondo.axes<[o, d]>>)
      -> tensor<?x2x3xf32, #rondo.axes<[t, j, o]>> body(%x_t, %w_e) {
    %p = rondo.contract %w_e, %x_t over [d] : tensor<3x4xf32, #rondo.axes<[o, d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<3xf32, #rondo.axes<[o]>>
    rondo.yield () (%p : tensor<3xf32, #rondo.axes<[o]>>)
  }
  return
}

// -----

#tj = #rondo.axes<[t, j]>
#ed = #rondo.axes<[e, d]>

func.func @route_c3(%ids: tensor<?x2xf32, #tj>, %x: tensor<?x3x4xf32, #rondo.axes<[t, j, d]>>, %w: tensor<3x4xf32, #ed>) {
  // expected-error @+1 {{expects equal extents of axis 'j', got 3}}
  %y = rondo.route %ids : tensor<?x2xf32, #tj> along e inputs(%x : tensor<?x3x4xf32, #rondo.axes<[t, j, d]>>) tables(%w : tensor<3x4xf32, #ed>)
      -> tensor<?x2xf32, #tj> body(%x_t, %w_e) {
    %p = rondo.contract %w_e, %x_t over [d] : tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<f32>
    rondo.yield () (%p : tensor<f32>)
  }
  return
}

// -----

#tj = #rondo.axes<[t, j]>
#td = #rondo.axes<[t, d]>
#ed = #rondo.axes<[e, d]>

func.func @route_c4(%ids: tensor<?x2xf32, #tj>, %x: tensor<?x4xf32, #td>, %w: tensor<3x4xf32, #ed>) {
  // expected-error @+1 {{expects no states and one value, got 0 states and 2 values}}
  %y = rondo.route %ids : tensor<?x2xf32, #tj> along e inputs(%x : tensor<?x4xf32, #td>) tables(%w : tensor<3x4xf32, #ed>)
      -> tensor<?x2xf32, #tj> body(%x_t, %w_e) {
    %p = rondo.contract %w_e, %x_t over [d] : tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<f32>
    rondo.yield () (%p, %p : tensor<f32>, tensor<f32>)
  }
  return
}

// -----

#tj = #rondo.axes<[t, j]>
#td = #rondo.axes<[t, d]>
#ed = #rondo.axes<[e, d]>

func.func @route_c5(%ids: tensor<?x2xf32, #tj>, %x: tensor<?x4xf32, #td>, %w: tensor<3x4xf32, #ed>) {
  // expected-error @+1 {{expects a result of type}}
  %y = rondo.route %ids : tensor<?x2xf32, #tj> along e inputs(%x : tensor<?x4xf32, #td>) tables(%w : tensor<3x4xf32, #ed>)
      -> tensor<?xf32, #rondo.axes<[t]>> body(%x_t, %w_e) {
    %p = rondo.contract %w_e, %x_t over [d] : tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<f32>
    rondo.yield () (%p : tensor<f32>)
  }
  return
}

// -----

#tj = #rondo.axes<[t, j]>
#td = #rondo.axes<[t, d]>
#ed = #rondo.axes<[e, d]>

func.func @route_c6(%ids: tensor<?x2xf32, #tj>, %x: tensor<?x4xf32, #td>, %w: tensor<3x4xf32, #ed>) {
  // expected-error @+1 {{expects array ops, constants and indices in its body, got 'rondo.param'}}
  %y = rondo.route %ids : tensor<?x2xf32, #tj> along e inputs(%x : tensor<?x4xf32, #td>) tables(%w : tensor<3x4xf32, #ed>)
      -> tensor<?x2xf32, #tj> body(%x_t, %w_e) {
    // expected-note @+1 {{pass the value in as an operand}}
    %p = rondo.param "b" : tensor<f32>
    rondo.yield () (%p : tensor<f32>)
  }
  return
}

// -----

func.func @param_c3() {
  // expected-error @+1 {{expects the path of a stacked parameter to name its first axis in braces, got 'experts.{e}.w'}}
  %w = rondo.param "experts.{e}.w" : tensor<4x3xf32, #rondo.axes<[d, e]>>
  return
}
