// RUN: rondo-opt %s -split-input-file -verify-diagnostics

// Each constraint of the sources and array ops is checked, and the message says what was expected and what was found.

#d = #rondo.axes<[d]>
#t = #rondo.axes<[t]>
func.func @param_c1() {
  // expected-error@+1 {{expects a path, got an empty one}}
  %0 = rondo.param "" : tensor<4xf32, #d>
  return
}

// -----

func.func @param_c2() {
  // expected-error@+1 {{expects a parameter without the time axis 't', got}}
  %0 = rondo.param "w" : tensor<?x4xf32, #rondo.axes<[t, d]>>
  return
}

// -----

func.func @constant_c1() {
  // expected-error@+1 {{expects a dense value, got dense_resource}}
  %0 = rondo.constant dense_resource<w> : tensor<4xf32, #rondo.axes<[d]>>
  return
}

{-# dialect_resources: { builtin: { w: "0x0400000000000000000000000000000000000000" } } #-}

// -----

func.func @index_c1() {
  // expected-error@+1 {{expects a result with one axis, got 'tensor<f32>'}}
  %0 = rondo.index : tensor<f32>
  return
}

// -----

func.func @index_c2() {
  // expected-error@+1 {{expects a result without the time axis 't'}}
  %0 = rondo.index : tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @position_c1() {
  // expected-error@+1 {{expects a result with the axis 't' alone}}
  %0 = rondo.position : tensor<?x4xf32, #rondo.axes<[t, d]>>
  return
}

// -----

func.func @map_c1(%x: tensor<f32>) {
  // expected-error@+1 {{expects 2 inputs of 'add', got 1}}
  %0 = rondo.map add(%x) : (tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @map_c2_logic(%x: tensor<f32>) {
  // expected-error@+1 {{expects input 0 with i1 elements, got 'tensor<f32>'}}
  %0 = rondo.map not(%x) : (tensor<f32>) -> tensor<i1>
  return
}

// -----

func.func @map_c2_mixed(%x: tensor<f32>, %n: tensor<i64>) {
  // expected-error@+1 {{expects input 1 with the other input's elements, got 'tensor<i64>'}}
  %0 = rondo.map add(%x, %n) : (tensor<f32>, tensor<i64>) -> tensor<f32>
  return
}

// -----

func.func @map_c2_result(%x: tensor<f32>) {
  // expected-error@+1 {{expects a result with i1 elements, got 'tensor<f32>'}}
  %0 = rondo.map lt(%x, %x) : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @map_c2_integers_have_no_exponential(%n: tensor<i64>) {
  // expected-error@+1 {{expects input 0 with f32 elements, got 'tensor<i64>'}}
  %0 = rondo.map exp(%n) : (tensor<i64>) -> tensor<i64>
  return
}

// -----

func.func @map_c3_missing_axis(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects the axes of input 0 among those of the result, got axis 'd' of}}
  %0 = rondo.map neg(%x) : (tensor<4xf32, #rondo.axes<[d]>>) -> tensor<4xf32, #rondo.axes<[h]>>
  return
}

// -----

func.func @map_c3_extent(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects equal extents of axis 'd', got 4 in}}
  %0 = rondo.map neg(%x) : (tensor<4xf32, #rondo.axes<[d]>>) -> tensor<5xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @reduce_c1(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects an axis of the source, got 'k' for}}
  %0 = rondo.reduce sum %x over [k] : tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @reduce_c1_none(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects at least one axis, got none}}
  %0 = rondo.reduce sum %x over [] : tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @reduce_c2(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects an axis other than the time axis 't'}}
  %0 = rondo.reduce sum %x over [t] : tensor<?xf32, #rondo.axes<[t]>> -> tensor<f32>
  return
}

// -----

func.func @reduce_c3(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects a result of type 'tensor<f32>', got}}
  %0 = rondo.reduce sum %x over [d] : tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @contract_c1(%x: tensor<4xf32, #rondo.axes<[d]>>, %y: tensor<4xf32, #rondo.axes<[k]>>) {
  // expected-error@+1 {{expects an axis of the right side, got 'd' for}}
  %0 = rondo.contract %x, %y over [d] : tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[k]>> -> tensor<4xf32, #rondo.axes<[k]>>
  return
}

// -----

func.func @contract_c1_twice(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects different axes, got 'd' twice}}
  %0 = rondo.contract %x, %x over [d, d] : tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<f32>
  return
}

// -----

func.func @contract_c2(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects an axis other than the time axis 't'}}
  %0 = rondo.contract %x, %x over [t] : tensor<?xf32, #rondo.axes<[t]>>, tensor<?xf32, #rondo.axes<[t]>> -> tensor<f32>
  return
}

// -----

func.func @contract_c3(%x: tensor<4x2xf32, #rondo.axes<[d, h]>>, %y: tensor<4x3xf32, #rondo.axes<[d, h]>>) {
  // expected-error@+1 {{expects equal extents of axis 'h', got 2 and 3}}
  %0 = rondo.contract %x, %y over [d] : tensor<4x2xf32, #rondo.axes<[d, h]>>, tensor<4x3xf32, #rondo.axes<[d, h]>> -> tensor<2xf32, #rondo.axes<[h]>>
  return
}

// -----

func.func @contract_c4(%x: tensor<4x2xf32, #rondo.axes<[d, h]>>) {
  // expected-error@+1 {{expects a result with the axes of 'tensor<2xf32, #rondo.axes<[h]>>' in any order, got 'tensor<f32>'}}
  %0 = rondo.contract %x, %x over [d] : tensor<4x2xf32, #rondo.axes<[d, h]>>, tensor<4x2xf32, #rondo.axes<[d, h]>> -> tensor<f32>
  return
}

// -----

func.func @view_c1_dimensions(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects a map from 1 axes of the result, got 2}}
  %0 = rondo.view %x by affine_map<(a, b) -> (a)> : tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[k]>>
  return
}

// -----

func.func @view_c1_results(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects a map to 1 axes of the source, got 2}}
  %0 = rondo.view %x by affine_map<(a) -> (a, a)> : tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[k]>>
  return
}

// -----

func.func @view_c1_symbols(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects a map without symbols, got 1}}
  %0 = rondo.view %x by affine_map<(a)[s] -> (a + s)> : tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[k]>>
  return
}

// -----

func.func @view_c2(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) {
  // expected-error@+1 {{expects the time axis 't' on both source and result or on neither}}
  %0 = rondo.view %x by affine_map<(a) -> (a)> : tensor<?x4xf32, #rondo.axes<[t, d]>> -> tensor<4xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @view_c3(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{to map inside 'tensor<4xf32, #rondo.axes<[d]>>', got affine_map<(d0) -> (d0 + 2)>}}
  %0 = rondo.view %x by affine_map<(a) -> (a + 2)> : tensor<4xf32, #rondo.axes<[d]>> -> tensor<3xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @view_c4(%x: tensor<?x4xf32, #rondo.axes<[s, d]>>) {
  // expected-error@+1 {{expects the axis 's' of unknown extent kept as it is, got affine_map<(d0, d1) -> (0, d1)>}}
  %0 = rondo.view %x by affine_map<(a, b) -> (0, b)> : tensor<?x4xf32, #rondo.axes<[s, d]>> -> tensor<?x4xf32, #rondo.axes<[s, d]>>
  return
}

// -----

// Intervals alone would refuse this one: d0 - d0 is [-3, 3] to them.
func.func @view_c3_exactly(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  %0 = rondo.view %x by affine_map<(a, b) -> ((a + b) mod 4 - a mod 2 + a mod 2)> : tensor<4xf32, #rondo.axes<[d]>> -> tensor<4x4xf32, #rondo.axes<[h, k]>>
  return
}

// -----

func.func @concat_c2(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects an axis of the source, got 'k'}}
  %0 = rondo.concat %x, %x along k : (tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>>) -> tensor<8xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @concat_c3(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects a result of type 'tensor<8xf32, #rondo.axes<[d]>>', got 'tensor<9xf32, #rondo.axes<[d]>>'}}
  %0 = rondo.concat %x, %x along d : (tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>>) -> tensor<9xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @gather_c1(%table: tensor<4xf32, #rondo.axes<[v]>>, %ids: tensor<?xi64, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects an axis of the table, got 'w'}}
  %0 = rondo.gather %table[%ids] along w : tensor<4xf32, #rondo.axes<[v]>>, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @gather_c2(%table: tensor<4xf32, #rondo.axes<[v]>>, %ids: tensor<?xi1, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects ids with i64 or f32 elements}}
  %0 = rondo.gather %table[%ids] along v : tensor<4xf32, #rondo.axes<[v]>>, tensor<?xi1, #rondo.axes<[t]>> -> tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @gather_c3(%table: tensor<4x2xf32, #rondo.axes<[v, d]>>, %ids: tensor<?xi64, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a result of type 'tensor<?x2xf32, #rondo.axes<[t, d]>>', got}}
  %0 = rondo.gather %table[%ids] along v : tensor<4x2xf32, #rondo.axes<[v, d]>>, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @pick_c1(%x: tensor<?xf32, #rondo.axes<[t]>>, %ids: tensor<?xi64, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects an axis other than the time axis 't'}}
  %0 = rondo.pick %x[%ids] along t : tensor<?xf32, #rondo.axes<[t]>>, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @pick_c2(%x: tensor<4xf32, #rondo.axes<[v]>>, %ids: tensor<?xi64, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects the axes of the ids among those of the result, got axis 't'}}
  %0 = rondo.pick %x[%ids] along v : tensor<4xf32, #rondo.axes<[v]>>, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @pick_c3(%x: tensor<?x4xf32, #rondo.axes<[t, v]>>, %ids: tensor<?xi64, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a result of type 'tensor<?xf32, #rondo.axes<[t]>>', got}}
  %0 = rondo.pick %x[%ids] along v : tensor<?x4xf32, #rondo.axes<[t, v]>>, tensor<?xi64, #rondo.axes<[t]>> -> tensor<?x4xf32, #rondo.axes<[t, v]>>
  return
}

// -----

func.func @cumsum_c1(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects an axis other than the time axis 't'}}
  %0 = rondo.cumsum %x along t : tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @cumsum_c2(%x: tensor<4xi64, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects a source with f32 elements}}
  %0 = rondo.cumsum %x along d : tensor<4xi64, #rondo.axes<[d]>>
  return
}

// -----

func.func @round_c1(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects an axis other than the time axis 't'}}
  %0 = rondo.round %x along t by 32 : tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @round_c2(%x: tensor<4xi64, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects a source with f32 elements}}
  %0 = rondo.round %x along d by 32 : tensor<4xi64, #rondo.axes<[d]>>
  return
}

// -----

func.func @round_c3(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects groups of at least 1, got 0}}
  %0 = rondo.round %x along d by 0 : tensor<4xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @solve_c1_matrix(%m: tensor<4x4xf32, #rondo.axes<[i, j]>>, %x: tensor<4x2xf32, #rondo.axes<[d, h]>>) {
  // expected-error@+1 {{expects an axis of the matrix, got 'd'}}
  %0 = rondo.solve %m, %x along d from j : tensor<4x4xf32, #rondo.axes<[i, j]>>, tensor<4x2xf32, #rondo.axes<[d, h]>> -> tensor<4x2xf32, #rondo.axes<[d, h]>>
  return
}

// -----

func.func @solve_c1_source(%m: tensor<4x4xf32, #rondo.axes<[i, j]>>, %x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects an axis of the source, got 'i'}}
  %0 = rondo.solve %m, %x along i from j : tensor<4x4xf32, #rondo.axes<[i, j]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @solve_c2_source(%m: tensor<4x4xf32, #rondo.axes<[i, j]>>, %x: tensor<4x4xf32, #rondo.axes<[i, j]>>) {
  // expected-error@+1 {{expects columns that are no axis of the source, got 'j'}}
  %0 = rondo.solve %m, %x along i from j : tensor<4x4xf32, #rondo.axes<[i, j]>>, tensor<4x4xf32, #rondo.axes<[i, j]>> -> tensor<4xf32, #rondo.axes<[i]>>
  return
}

// -----

func.func @solve_c2_square(%m: tensor<4x3xf32, #rondo.axes<[i, j]>>, %x: tensor<4xf32, #rondo.axes<[i]>>) {
  // expected-error@+1 {{expects a square matrix, got 4 and 3}}
  %0 = rondo.solve %m, %x along i from j : tensor<4x3xf32, #rondo.axes<[i, j]>>, tensor<4xf32, #rondo.axes<[i]>> -> tensor<4xf32, #rondo.axes<[i]>>
  return
}

// -----

func.func @solve_c3_elements(%m: tensor<4x4xi64, #rondo.axes<[i, j]>>, %x: tensor<4xf32, #rondo.axes<[i]>>) {
  // expected-error@+1 {{expects a matrix with f32 elements}}
  %0 = rondo.solve %m, %x along i from j : tensor<4x4xi64, #rondo.axes<[i, j]>>, tensor<4xf32, #rondo.axes<[i]>> -> tensor<4xf32, #rondo.axes<[i]>>
  return
}

// -----

func.func @solve_c3_axes(%m: tensor<4x4xf32, #rondo.axes<[i, j]>>, %x: tensor<4x2xf32, #rondo.axes<[i, h]>>) {
  // expected-error@+1 {{expects the axes of the operands among those of the result, got axis 'h'}}
  %0 = rondo.solve %m, %x along i from j : tensor<4x4xf32, #rondo.axes<[i, j]>>, tensor<4x2xf32, #rondo.axes<[i, h]>> -> tensor<4xf32, #rondo.axes<[i]>>
  return
}

// -----

func.func @propagate_c1(%x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects an axis of the result, got 'c'}}
  %0 = rondo.propagate %x, %x along c : tensor<4xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @propagate_c2_elements(%x: tensor<4xi64, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects factors with f32 elements}}
  %0 = rondo.propagate %x, %x along d : tensor<4xi64, #rondo.axes<[d]>>, tensor<4xi64, #rondo.axes<[d]>> -> tensor<4xi64, #rondo.axes<[d]>>
  return
}

// -----

func.func @propagate_c2_axes(%a: tensor<2xf32, #rondo.axes<[h]>>, %x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects the axes of the operands among those of the result, got axis 'h'}}
  %0 = rondo.propagate %a, %x along d : tensor<2xf32, #rondo.axes<[h]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @propagate_c2_extents(%a: tensor<2xf32, #rondo.axes<[d]>>, %x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects equal extents of axis 'd'}}
  %0 = rondo.propagate %a, %x along d : tensor<2xf32, #rondo.axes<[d]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<4xf32, #rondo.axes<[d]>>
  return
}

// -----

func.func @propagate_c3_square(%a: tensor<2x3xf32, #rondo.axes<[i, j]>>, %x: tensor<2x4xf32, #rondo.axes<[i, d]>>) {
  // expected-error@+1 {{expects square matrices of factors, got 2 and 3}}
  %0 = rondo.propagate %a, %x along d mixing [i, j] : tensor<2x3xf32, #rondo.axes<[i, j]>>, tensor<2x4xf32, #rondo.axes<[i, d]>> -> tensor<2x4xf32, #rondo.axes<[i, d]>>
  return
}

// -----

func.func @propagate_c3_source(%a: tensor<2x2xf32, #rondo.axes<[i, j]>>, %x: tensor<4xf32, #rondo.axes<[d]>>) {
  // expected-error@+1 {{expects a source with the axis 'i' and without 'j'}}
  %0 = rondo.propagate %a, %x along d mixing [i, j] : tensor<2x2xf32, #rondo.axes<[i, j]>>, tensor<4xf32, #rondo.axes<[d]>> -> tensor<2x4xf32, #rondo.axes<[i, d]>>
  return
}

// -----

func.func @propagate_c3_count(%a: tensor<2x2xf32, #rondo.axes<[i, j]>>, %x: tensor<2x4xf32, #rondo.axes<[i, d]>>) {
  // expected-error@+1 {{expects two mixing axes, got 1}}
  %0 = rondo.propagate %a, %x along d mixing [i] : tensor<2x2xf32, #rondo.axes<[i, j]>>, tensor<2x4xf32, #rondo.axes<[i, d]>> -> tensor<2x4xf32, #rondo.axes<[i, d]>>
  return
}

// -----

func.func @propagate_c3_axis(%a: tensor<2x2xf32, #rondo.axes<[i, j]>>, %x: tensor<2x4xf32, #rondo.axes<[i, d]>>) {
  // expected-error@+1 {{expects mixing axes other than 'i'}}
  %0 = rondo.propagate %a, %x along i mixing [i, j] : tensor<2x2xf32, #rondo.axes<[i, j]>>, tensor<2x4xf32, #rondo.axes<[i, d]>> -> tensor<2x4xf32, #rondo.axes<[i, d]>>
  return
}
