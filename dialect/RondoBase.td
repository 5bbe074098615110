//===- RondoBase.td - The dialect, its attributes and base op class -*- tablegen -*-===//

#ifndef RONDO_DIALECT_BASE_TD
#define RONDO_DIALECT_BASE_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/TensorEncoding.td"

def Rondo_Dialect : Dialect {
  let name = "rondo";
  let cppNamespace = "::rondo";
  let summary = "Recurrences, scans and attention over sequences";
  let description = [{
    Values are tensors whose encoding names their axes, `tensor<?x24x64xf32, #rondo.axes<[t, h, p]>>`; ops match axes by name, never by position. The axis
    `t` is time: dynamic, first, and present on per-token values only. See RATIONALE.md.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let dependentDialects = ["mlir::func::FuncDialect"];
}

def Rondo_AxesAttr : AttrDef<Rondo_Dialect, "Axes", [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let mnemonic = "axes";
  let summary = "the names of a tensor's axes, in storage order";
  let description = [{
    `#rondo.axes<[t, h, p]>`: one name a dimension, no name twice; `t` only first. A rank-0 tensor needs none.
  }];
  let parameters = (ins ArrayRefParameter<"mlir::StringAttr">:$names);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

// A value: a tensor whose encoding names its axes, or a rank-0 tensor, which has none to name. Elements are f32, i64 or i1.
def Rondo_Value : Type<CPred<"::rondo::isValueType($_self)">, "tensor with named axes (#rondo.axes) of f32, i64 or i1", "::mlir::RankedTensorType">;

// Every op has a verifier whose checks carry the constraint ids of its description.
class Rondo_Op<string mnemonic, list<Trait> traits = []>
    : Op<Rondo_Dialect, mnemonic, traits> {
  let hasVerifier = 1;
}

def Rondo_MapKind : I32EnumAttr<"MapKind", "an elementwise function", [
    I32EnumAttrCase<"Add", 0, "add">, I32EnumAttrCase<"Sub", 1, "sub">,
    I32EnumAttrCase<"Mul", 2, "mul">, I32EnumAttrCase<"Div", 3, "div">,
    I32EnumAttrCase<"Min", 4, "min">, I32EnumAttrCase<"Max", 5, "max">,
    I32EnumAttrCase<"Pow", 6, "pow">, I32EnumAttrCase<"Mod", 7, "mod">,
    I32EnumAttrCase<"Neg", 8, "neg">, I32EnumAttrCase<"Abs", 9, "abs">,
    I32EnumAttrCase<"Exp", 10, "exp">, I32EnumAttrCase<"Log", 11, "log">,
    I32EnumAttrCase<"Sqrt", 12, "sqrt">, I32EnumAttrCase<"Rsqrt", 13, "rsqrt">,
    I32EnumAttrCase<"Sin", 14, "sin">, I32EnumAttrCase<"Cos", 15, "cos">,
    I32EnumAttrCase<"Tanh", 16, "tanh">, I32EnumAttrCase<"Erf", 17, "erf">,
    I32EnumAttrCase<"Sigmoid", 18, "sigmoid">, I32EnumAttrCase<"Softplus", 19, "softplus">,
    I32EnumAttrCase<"Floor", 20, "floor">, I32EnumAttrCase<"Sign", 21, "sign">,
    I32EnumAttrCase<"Lt", 22, "lt">, I32EnumAttrCase<"Le", 23, "le">,
    I32EnumAttrCase<"Eq", 24, "eq">, I32EnumAttrCase<"Ne", 25, "ne">,
    I32EnumAttrCase<"And", 26, "and">, I32EnumAttrCase<"Or", 27, "or">, I32EnumAttrCase<"Not", 28, "not">,
    I32EnumAttrCase<"Select", 29, "select">, I32EnumAttrCase<"Convert", 30, "convert">]> {
  let cppNamespace = "::rondo";
}

def Rondo_ReduceKind : I32EnumAttr<"ReduceKind", "a reduction", [
    I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Max", 1, "max">, I32EnumAttrCase<"Min", 2, "min">]> {
  let cppNamespace = "::rondo";
}

def Rondo_OverKind : I32EnumAttr<"OverKind", "how values of other tokens are combined", [
    I32EnumAttrCase<"Softmax", 0, "softmax">, I32EnumAttrCase<"Sum", 1, "sum">]> {
  let cppNamespace = "::rondo";
}

#endif // RONDO_DIALECT_BASE_TD
