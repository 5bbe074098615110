// RUN: rondo-opt %s -split-input-file -verify-diagnostics

// Each constraint of the ops that reach other tokens is checked, and the message says what was expected and what was found.

func.func @shift_c1(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a distance of at least 1 token, got 0}}
  %0 = rondo.shift %x by 0 "x" : tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @shift_c2(%x: tensor<f32>) {
  // expected-error@+1 {{expects a source with the time axis 't' in front, got 'tensor<f32>'}}
  %0 = rondo.shift %x by 1 "x" : tensor<f32>
  return
}

// -----

func.func @shift_c3(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a name, got an empty one}}
  %0 = rondo.shift %x by 1 "" : tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @last_c1(%x: tensor<f32>) {
  // expected-error@+1 {{expects a source with the time axis 't' in front, got 'tensor<f32>'}}
  %0 = rondo.last %x : tensor<f32>
  return
}

// -----

func.func @recur_c1(%x: tensor<?xf32, #rondo.axes<[t]>>, %zero: tensor<f32>) {
  // expected-error@+1 {{expects different states, got 'S' twice}}
  %0 = rondo.recur "r" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero, "S" = %zero : tensor<f32>, tensor<f32>)
      -> (tensor<?xf32, #rondo.axes<[t]>>) body(%x_t, %S, %Z) {
    rondo.yield (%S, %Z : tensor<f32>, tensor<f32>) (%x_t : tensor<f32>)
  }
  return
}

// -----

func.func @recur_c2(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a state without the time axis 't'}}
  %0 = rondo.recur "r" states("S" = %x : tensor<?xf32, #rondo.axes<[t]>>) -> (tensor<?xf32, #rondo.axes<[t]>>) body(%S) {
    %c = rondo.constant dense<0.0> : tensor<f32>
    rondo.yield (%S : tensor<?xf32, #rondo.axes<[t]>>) (%c : tensor<f32>)
  }
  return
}

// -----

func.func @recur_c3(%x: tensor<?xf32, #rondo.axes<[t]>>, %zero: tensor<f32>) {
  // expected-error@+1 {{expects argument 0 of the body of type 'tensor<f32>', got 'tensor<?xf32, #rondo.axes<[t]>>'}}
  %0 = "rondo.recur"(%x, %zero) <{name = "r", states = ["S"], operandSegmentSizes = array<i32: 1, 1>}> ({
  ^bb0(%x_t: tensor<?xf32, #rondo.axes<[t]>>, %S: tensor<f32>):
    rondo.yield (%S : tensor<f32>) (%S : tensor<f32>)
  }) : (tensor<?xf32, #rondo.axes<[t]>>, tensor<f32>) -> tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @recur_c3_names(%x: tensor<?xf32, #rondo.axes<[t]>>, %zero: tensor<f32>) {
  %0 = rondo.recur "r" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero : tensor<f32>) -> (tensor<?xf32, #rondo.axes<[t]>>)
      // expected-error@+1 {{expects 2 names of body arguments, got 1}}
      body(%x_t) {
    rondo.yield (%x_t : tensor<f32>) (%x_t : tensor<f32>)
  }
  return
}

// -----

func.func @recur_c4_state(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>, %zero: tensor<f32>) {
  // expected-error@+1 {{expects yielded state 0 of type 'tensor<f32>', got 'tensor<4xf32, #rondo.axes<[d]>>'}}
  %0 = rondo.recur "r" inputs(%x : tensor<?x4xf32, #rondo.axes<[t, d]>>) states("S" = %zero : tensor<f32>) -> (tensor<?xf32, #rondo.axes<[t]>>)
      body(%x_t, %S) {
    rondo.yield (%x_t : tensor<4xf32, #rondo.axes<[d]>>) (%S : tensor<f32>)
  }
  return
}

// -----

func.func @recur_c4_outputs(%x: tensor<?xf32, #rondo.axes<[t]>>, %zero: tensor<f32>) {
  // expected-error@+1 {{expects 1 outputs yielded, got 0}}
  %0 = rondo.recur "r" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero : tensor<f32>) -> (tensor<?xf32, #rondo.axes<[t]>>)
      body(%x_t, %S) {
    rondo.yield (%x_t : tensor<f32>) ()
  }
  return
}

// -----

func.func @recur_c5(%x: tensor<?xf32, #rondo.axes<[t]>>, %zero: tensor<f32>) {
  // expected-error@+1 {{expects groups of at least 1 token, got 0}}
  %0 = rondo.recur "r" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero : tensor<f32>) every 0 -> (tensor<?xf32, #rondo.axes<[t]>>)
      body(%x_t, %S, %start) {
    rondo.yield (%x_t : tensor<f32>) (%S : tensor<f32>)
  }
  return
}

// -----

func.func @recur_c6(%x: tensor<?xf32, #rondo.axes<[t]>>, %zero: tensor<f32>) {
  // expected-error@+1 {{expects array ops, constants and indices in its body, got 'rondo.param'}}
  %0 = rondo.recur "r" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero : tensor<f32>) -> (tensor<?xf32, #rondo.axes<[t]>>)
      body(%x_t, %S) {
    // expected-note@+1 {{pass the value in as an operand}}
    %w = rondo.param "w" : tensor<f32>
    rondo.yield (%w : tensor<f32>) (%S : tensor<f32>)
  }
  return
}

// -----

func.func @over_c1(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a name, got an empty one}}
  %0 = rondo.over sum "" keys(%x : tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_s) {
    %all = rondo.constant dense<true> : tensor<i1>
    rondo.yield () (%all, %x_s, %x_s : tensor<i1>, tensor<f32>, tensor<f32>)
  }
  return
}

// -----

func.func @over_c2(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a shared value without the time axis 't'}}
  %0 = rondo.over sum "o" shared(%x : tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_s) {
    %all = rondo.constant dense<true> : tensor<i1>
    rondo.yield () (%all, %t, %s : tensor<i1>, tensor<f32>, tensor<f32>)
  }
  return
}

// -----

func.func @over_c3(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects 3 arguments of the body, got 2}}
  %0 = "rondo.over"(%x) <{name = "o", kind = 1 : i32, operandSegmentSizes = array<i32: 0, 1, 0>}> ({
  ^bb0(%t: tensor<f32>, %s: tensor<f32>):
    %all = rondo.constant dense<true> : tensor<i1>
    rondo.yield () (%all, %t, %s : tensor<i1>, tensor<f32>, tensor<f32>)
  }) : (tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @over_c4_count(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects no states and the outputs predicate, score and value (and of a softmax perhaps a sink), got 0 states and 1 outputs}}
  %0 = rondo.over sum "o" keys(%x : tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_s) {
    rondo.yield () (%x_s : tensor<f32>)
  }
  return
}

// -----

func.func @over_c4_predicate(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a predicate with i1 elements, got 'tensor<f32>'}}
  %0 = rondo.over sum "o" keys(%x : tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_s) {
    rondo.yield () (%x_s, %x_s, %x_s : tensor<f32>, tensor<f32>, tensor<f32>)
  }
  return
}

// -----

func.func @over_c4_sink(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a sink that depends on no key and not on the key's position}}
  %0 = rondo.over softmax "o" keys(%x : tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_s) {
    %all = rondo.constant dense<true> : tensor<i1>
    %near = rondo.map sub(%t, %s) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    rondo.yield () (%all, %x_s, %x_s, %near : tensor<i1>, tensor<f32>, tensor<f32>, tensor<f32>)
  }
  return
}

// -----

func.func @over_c5(%x: tensor<?x4xf32, #rondo.axes<[t, d]>>) {
  // expected-error@+1 {{expects the axes of the value among those of the result, got axis 'd' of}}
  %0 = rondo.over sum "o" keys(%x : tensor<?x4xf32, #rondo.axes<[t, d]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_s) {
    %all = rondo.constant dense<true> : tensor<i1>
    rondo.yield () (%all, %t, %x_s : tensor<i1>, tensor<f32>, tensor<4xf32, #rondo.axes<[d]>>)
  }
  return
}

// -----

func.func @over_c6(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects array ops, constants and indices in its body, got 'rondo.param'}}
  %0 = rondo.over sum "o" keys(%x : tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_s) {
    %all = rondo.constant dense<true> : tensor<i1>
    // expected-note@+1 {{pass the value in as an operand}}
    %w = rondo.param "w" : tensor<f32>
    rondo.yield () (%all, %t, %w : tensor<i1>, tensor<f32>, tensor<f32>)
  }
  return
}

// -----

func.func @attend_c7(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects a window of at least 0 tokens, got -1}}
  %0 = rondo.attend sum "o" causal window -1 keys(%x : tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_s) {
    %all = rondo.constant dense<true> : tensor<i1>
    rondo.yield () (%all, %t, %x_s : tensor<i1>, tensor<?xf32, #rondo.axes<[t]>>, tensor<?xf32, #rondo.axes<[s]>>)
  }
  return
}

// -----

func.func @attend_c5(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects the axes of the value among those of the result, got axis 'd' of}}
  %0 = rondo.attend sum "o" causal keys(%x : tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_s) {
    %all = rondo.constant dense<true> : tensor<i1>
    %v = rondo.map neg(%x_s) : (tensor<?xf32, #rondo.axes<[s]>>) -> tensor<?x2xf32, #rondo.axes<[s, d]>>
    rondo.yield () (%all, %t, %v : tensor<i1>, tensor<?xf32, #rondo.axes<[t]>>, tensor<?x2xf32, #rondo.axes<[s, d]>>)
  }
  return
}

// -----

func.func @attend_c8(%x: tensor<?x4xf32, #rondo.axes<[t, s]>>) {
  // expected-error@+1 {{expects operands without the axis 's' of their tokens, got}}
  %0 = rondo.attend sum "o" causal queries(%x : tensor<?x4xf32, #rondo.axes<[t, s]>>) -> tensor<?xf32, #rondo.axes<[t]>> body(%t, %s, %x_t) {
    %all = rondo.constant dense<true> : tensor<i1>
    rondo.yield () (%all, %t, %t : tensor<i1>, tensor<?xf32, #rondo.axes<[t]>>, tensor<?xf32, #rondo.axes<[t]>>)
  }
  return
}

// -----

func.func @scan_c4_block(%x: tensor<?xf32, #rondo.axes<[t]>>, %zero: tensor<f32>) {
  // expected-error@+1 {{expects yielded output 0 of type 'tensor<2xf32, #rondo.axes<[c]>>', got 'tensor<f32>'}}
  %0 = rondo.scan "r" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero : tensor<f32>) chunk 2 form "chunked" transition "none"
      -> (tensor<?xf32, #rondo.axes<[t]>>) token(%x_t, %S) {
    rondo.yield (%S : tensor<f32>) (%S : tensor<f32>)
  } block(%x_c, %S) {
    rondo.yield (%S : tensor<f32>) (%S : tensor<f32>)
  }
  return
}

// -----

func.func @scan_c7(%x: tensor<?xf32, #rondo.axes<[t]>>, %zero: tensor<f32>) {
  // expected-error@+1 {{expects a chunk of at least 1 token, got 0}}
  %0 = rondo.scan "r" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero : tensor<f32>) chunk 0 form "chunked" transition "none"
      -> (tensor<?xf32, #rondo.axes<[t]>>) token(%x_t, %S) {
    rondo.yield (%S : tensor<f32>) (%S : tensor<f32>)
  }
  return
}

// -----

func.func @scan_c8(%x: tensor<?xf32, #rondo.axes<[t]>>, %zero: tensor<f32>) {
  // expected-error@+1 {{expects groups that are a multiple of the chunk, got groups of 3 tokens and a chunk of 2}}
  %0 = rondo.scan "r" inputs(%x : tensor<?xf32, #rondo.axes<[t]>>) states("S" = %zero : tensor<f32>) every 3 chunk 2 form "chunked" transition "none"
      -> (tensor<?xf32, #rondo.axes<[t]>>) token(%x_t, %S, %start) {
    rondo.yield (%S : tensor<f32>) (%S : tensor<f32>)
  } block(%x_c, %S, %start) {
    rondo.yield (%S : tensor<f32>) (%x_c : tensor<2xf32, #rondo.axes<[c]>>)
  }
  return
}

// -----

func.func @scan_c9(%x: tensor<?x4xf32, #rondo.axes<[t, c]>>, %zero: tensor<f32>) {
  %0 = rondo.scan "r" inputs(%x : tensor<?x4xf32, #rondo.axes<[t, c]>>) states("S" = %zero : tensor<f32>) chunk 2 form "chunked" transition "none"
      -> (tensor<?xf32, #rondo.axes<[t]>>) token(%x_t, %S) {
    rondo.yield (%S : tensor<f32>) (%S : tensor<f32>)
  // expected-error@+1 {{expects operands without the block axis 'c', got}}
  } block(%x_c, %S) {
    rondo.yield (%S : tensor<f32>) (%S : tensor<f32>)
  }
  return
}

// -----

func.func private @layer(%x: tensor<f32>) -> tensor<f32>
func.func @call_c1_type(%x: tensor<?xf32, #rondo.axes<[t]>>) {
  // expected-error@+1 {{expects the type of 'layer', '(tensor<f32>) -> tensor<f32>', got}}
  %0 = rondo.call @layer(%x) at "layers.0" : (tensor<?xf32, #rondo.axes<[t]>>) -> tensor<?xf32, #rondo.axes<[t]>>
  return
}

// -----

func.func @call_c1_name(%x: tensor<f32>) {
  // expected-error@+1 {{expects the name of a func.func, got 'layer'}}
  %0 = rondo.call @layer(%x) at "layers.0" : (tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func private @layer(%x: tensor<f32>) -> tensor<f32>
func.func @call_c2(%x: tensor<f32>) {
  // expected-error@+1 {{expects a scope, got an empty one}}
  %0 = rondo.call @layer(%x) at "" : (tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func private @layer(%x: tensor<f32>) -> tensor<f32>
func.func @launch_c2(%x: tensor<f32>) {
  // expected-error@+1 {{expects a function with 'rondo.kernel', got 'layer' without it}}
  %0 = rondo.launch @layer(%x) : (tensor<f32>) -> tensor<f32>
  return
}
