// RUN: rondo-opt %s -split-input-file -verify-diagnostics

// Types whose axes do not fit are refused where they are written.

// expected-error@+1 {{expects different axes, got 'h' twice}}
func.func @an_axis_twice(%x: tensor<2x3xf32, #rondo.axes<[h, h]>>)

// -----

// expected-error@+1 {{expects the time axis 't' in front, got it at place 1}}
func.func @time_is_not_first(%x: tensor<2x?xf32, #rondo.axes<[h, t]>>)

// -----

// expected-error@+1 {{expects one axis a dimension, got 1 axes for rank 2}}
func.func @fewer_axes_than_dimensions(%x: tensor<2x3xf32, #rondo.axes<[h]>>)

// -----

// expected-error@+1 {{got axis 'h' with a dynamic extent}}
func.func @another_axis_is_dynamic(%x: tensor<?xf32, #rondo.axes<[h]>>)

// -----

// expected-error@+1 {{expects extents of at least 1, got 0 on axis 'h'}}
func.func @an_axis_without_elements(%x: tensor<0xf32, #rondo.axes<[h]>>)

// -----

// expected-error@+1 {{expects at least one axis: a rank-0 tensor needs no encoding}}
func.func @no_axis(%x: tensor<f32, #rondo.axes<[]>>)

// -----

func.func @an_operand_without_names(%x: tensor<4xf32>) {
  // expected-error@+1 {{must be variadic of tensor with named axes (#rondo.axes) of f32, i64 or i1, but got 'tensor<4xf32>'}}
  %0 = rondo.map neg(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return
}
