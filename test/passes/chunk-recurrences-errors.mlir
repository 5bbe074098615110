// RUN: not rondo-opt %s -rondo-chunk-recurrences=target=pdp-11 2>&1 | FileCheck %s --check-prefix=TARGET
// RUN: not rondo-opt %s -rondo-chunk-recurrences=forms=S=fft 2>&1 | FileCheck %s --check-prefix=FORM
// RUN: not rondo-opt %s -rondo-chunk-recurrences=forms=nothing=chunk:8 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not rondo-opt %s -rondo-chunk-recurrences=forms=S=chunk:0 2>&1 | FileCheck %s --check-prefix=COUNT

// Options that mean nothing are refused.

// TARGET: error: found the target 'pdp-11'; expected x86-64-v3 or x86-64-v4
// FORM: error: found the form 'S=fft'; expected NAME=chunk, NAME=chunk:C (C from 1 to 1024), NAME=conv, NAME=conv:C or NAME=sequential
// NAME: error: found a form for 'nothing'; expected one of the recurrences:
// COUNT: error: found the form 'S=chunk:0'; expected
func.func @nothing() { return }
