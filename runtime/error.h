// error.h - How every function of this room says that something went wrong.
//
// Nothing here throws across a function of a public header: a function that can fail returns
// Result<T> (or Status, which is Result<void>). A message says which file, where in it, what was
// found and what was expected; it is shown to a user as it is.

#ifndef RONDO_RUNTIME_ERROR_H
#define RONDO_RUNTIME_ERROR_H

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace rondo {

struct Error {
  std::string message;
};

template <class T> class [[nodiscard]] Result {
public:
  Result(T value) : content(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return content.index() == 0; }
  T &operator*() & { return *std::get_if<0>(&content); }
  const T &operator*() const & { return *std::get_if<0>(&content); }
  T &&operator*() && { return std::move(*std::get_if<0>(&content)); }
  T *operator->() { return std::get_if<0>(&content); }
  const T *operator->() const { return std::get_if<0>(&content); }
  const Error &error() const {
    assert(!*this && "asked a success for its error");
    return *std::get_if<1>(&content);
  }

private:
  std::variant<T, Error> content;
};

template <> class [[nodiscard]] Result<void> {
public:
  Result() = default;
  Result(Error error) : failed(true), problem(std::move(error)) {}

  explicit operator bool() const { return !failed; }
  const Error &error() const {
    assert(failed && "asked a success for its error");
    return problem;
  }

private:
  bool failed = false;
  Error problem;
};

using Status = Result<void>;

} // namespace rondo

#define RONDO_JOIN_(a, b) a##b
#define RONDO_JOIN(a, b) RONDO_JOIN_(a, b)

/// Leaves the function with the error when `expression` (a Result or Status) failed.
#define RONDO_CHECK(expression)                                                                    \
  do {                                                                                             \
    if (auto rondoStatus = (expression); !rondoStatus)                                             \
      return rondoStatus.error();                                                                  \
  } while (false)

/// Declares `declaration` from the value of `expression` (a Result), or leaves the function with
/// its error.
#define RONDO_TAKE(declaration, expression)                                                        \
  auto RONDO_JOIN(rondoResult, __LINE__) = (expression);                                           \
  if (!RONDO_JOIN(rondoResult, __LINE__))                                                          \
    return RONDO_JOIN(rondoResult, __LINE__).error();                                              \
  declaration = *std::move(RONDO_JOIN(rondoResult, __LINE__))

#endif // RONDO_RUNTIME_ERROR_H
