# No precompiled header: a source file with all of MLIR's headers that we use parses in 2.3 s (0.9 s with one), which saves half a minute of a
# clean build on two cores and costs ccache hits and honest includes.
# MLIR and LLVM 22 as the distribution ships them: one shared library each.
find_package(MLIR REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)

# Compiles like the distribution's LLVM (no RTTI, no exceptions) against the shared libMLIR and libLLVM.
add_library(rondo_mlir INTERFACE)
target_include_directories(rondo_mlir SYSTEM INTERFACE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
target_compile_options(rondo_mlir INTERFACE -fno-rtti)
# Some of LLVM's classes (llvm::Statistic) are laid out by NDEBUG; the distribution's library is built with it.
target_compile_definitions(rondo_mlir INTERFACE NDEBUG)
target_link_libraries(rondo_mlir INTERFACE MLIR LLVM)

# mlir_tablegen looks here for the .td files of MLIR.
include_directories(SYSTEM ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
