// RUN: rondo-opt %s -rondo-sums-to-recurrences -split-input-file -verify-diagnostics -o /dev/null

// Where a sum over tokens is kept, it is said why.

!t = tensor<?xf32, #rondo.axes<[t]>>

func.func @a_window(%x: !t) -> !t {
  // expected-remark@+1 {{'w': a sum over tokens: a recurrence forgets nothing, so it answers `where s <= t` alone}}
  %y = rondo.over sum "w" queries() keys(%x : !t) -> !t body(%t, %s, %x_s) {
    %past = rondo.map le(%s, %t) : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %d = rondo.map sub(%t, %s) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    %four = rondo.constant dense<4.0> : tensor<f32>
    %near = rondo.map lt(%d, %four) : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %seen = rondo.map and(%past, %near) : (tensor<i1>, tensor<i1>) -> tensor<i1>
    %zero = rondo.constant dense<0.0> : tensor<f32>
    rondo.yield () (%seen, %zero, %x_s : tensor<i1>, tensor<f32>, tensor<f32>)
  }
  return %y : !t
}

// -----

!t = tensor<?xf32, #rondo.axes<[t]>>

func.func @a_function_of_both(%q: !t, %x: !t) -> !t {
  // expected-remark@+1 {{'e': a sum over tokens: not a sum of products of a part of t and a part of s: 'exp' of a value that depends on t and s}}
  %y = rondo.over sum "e" queries(%q : !t) keys(%x : !t) -> !t body(%t, %s, %q_t, %x_s) {
    %seen = rondo.map le(%s, %t) : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %zero = rondo.constant dense<0.0> : tensor<f32>
    %d = rondo.map mul(%q_t, %x_s) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    %p = rondo.map exp(%d) : (tensor<f32>) -> tensor<f32>
    rondo.yield () (%seen, %zero, %p : tensor<i1>, tensor<f32>, tensor<f32>)
  }
  return %y : !t
}

// -----

!k = tensor<?x512xf32, #rondo.axes<[t, k]>>
!v = tensor<?x512xf32, #rondo.axes<[t, v]>>
!k1 = tensor<512xf32, #rondo.axes<[k]>>
!v1 = tensor<512xf32, #rondo.axes<[v]>>

func.func @a_power_too_many(%q: !k, %key: !k, %val: !v) -> !v {
  // expected-remark@+1 {{'p': a sum over tokens: as a recurrence it would take 536870912 FLOPs a token, 2099200 looking back 1024 tokens}}
  %y = rondo.over sum "p" queries(%q : !k) keys(%key, %val : !k, !v) -> !v body(%t, %s, %q_t, %k_s, %v_s) {
    %seen = rondo.map le(%s, %t) : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %zero = rondo.constant dense<0.0> : tensor<f32>
    %w = rondo.contract %q_t, %k_s over [k] : !k1, !k1 -> tensor<f32>
    %ww = rondo.map mul(%w, %w) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    %p = rondo.map mul(%ww, %v_s) : (tensor<f32>, !v1) -> !v1
    rondo.yield () (%seen, %zero, %p : tensor<i1>, tensor<f32>, !v1)
  }
  return %y : !v
}
