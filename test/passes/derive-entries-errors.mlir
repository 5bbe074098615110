// RUN: rondo-opt %s -rondo-derive-entries=entries=train -split-input-file -verify-diagnostics

// expected-error@+1 {{expects a function with rondo.entry = "forward", found none}}
module {
  func.func @other() { return }
}

// -----

// expected-error@+1 {{has no entry 'train'; expected forward, prefill, step or score}}
func.func @forward() attributes {rondo.entry = "forward"} { return }
