func.func @forward() {
  rondo.nothing
  return
}
