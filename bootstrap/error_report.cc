#include "bootstrap/error_report.h"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <typeinfo>

#include "absl/strings/str_cat.h"

namespace brood {
namespace internal {
namespace {

// Causes are bounded: a hostile or broken what() chain must not exhaust the stack of whoever reads it.
constexpr int kMaxCauses = 20;

std::string CurrentTypeName() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "unknown exception";
  int failed = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type->name(), nullptr, nullptr, &failed),
                                                         std::free);
  return failed == 0 && name != nullptr ? name.get() : type->name();
}

ResultError Describe(int causes_left) {
  ResultError error;
  error.type = CurrentTypeName();
  std::string message;
  std::exception_ptr nested;
  try {
    throw;
  } catch (const std::exception& exception) {
    message = exception.what();
    if (const auto* holder = dynamic_cast<const std::nested_exception*>(&exception)) nested = holder->nested_ptr();
  } catch (const std::string& text) {
    message = text;
  } catch (const char* text) {
    message = text != nullptr ? text : "";
  } catch (const absl::Status& status) {
    message = status.ToString();
  } catch (int number) {
    message = absl::StrCat(number);
  } catch (...) {
    message = "not a std::exception, so it has no message";
  }
  error.status = absl::UnknownError(message);
  if (nested != nullptr && causes_left > 0) {
    try {
      std::rethrow_exception(nested);
    } catch (...) {
      error.cause = std::make_shared<ResultError>(Describe(causes_left - 1));
    }
  }
  return error;
}

}  // namespace

ResultError CurrentException() { return Describe(kMaxCauses); }

ResultError StatusError(const absl::Status& status) {
  return {.type = "absl::Status", .status = status, .stack = "", .cause = nullptr};
}

void PrintError(std::string_view where, const ResultError& error) {
  std::string text = absl::StrCat(where, " ended by ");
  for (const ResultError* e = &error; e != nullptr; e = e->cause.get()) {
    if (e != &error) absl::StrAppend(&text, "  caused by ");
    const bool is_status = e->type == "absl::Status";
    absl::StrAppend(&text, e->type, ": ", is_status ? e->status.ToString() : std::string(e->status.message()), "\n");
  }
  // One call: lines of several children on one terminal stay whole.
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace internal
}  // namespace brood
