#include "bootstrap/error_report.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bootstrap/exception_type.h"

namespace brood {
namespace internal {
namespace {

// Causes and texts are bounded: a hostile or broken chain must exhaust neither the stack of whoever reads it, nor what
// an error may take on the wire.
constexpr int kMaxCauses = 20;
constexpr size_t kMaxMessage = 32 << 10;
constexpr size_t kMaxTypeName = 1 << 10;
constexpr size_t kMaxStatusMessage = 256 << 10;
constexpr size_t kMaxPayloads = kMaxErrorBytes / 2;
constexpr size_t kPayloadOverhead = 64;
static_assert((kMaxCauses + 1) * (kMaxMessage + kMaxTypeName + 200) + (32 << 10) < kMaxErrorBytes);

std::string Cut(std::string_view text, size_t max) {
  if (text.size() <= max) return std::string(text);
  return absl::StrCat(text.substr(0, max), "... (", text.size() - max, " bytes more)");
}

std::string_view TextOrNothing(const char* text) { return text != nullptr ? text : ""; }

// What is thrown is often not the base, but has it.
std::exception_ptr NestedOfCurrent() {
  try {
    throw;
  } catch (const std::nested_exception& holder) {
    return holder.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

ResultError Describe(int causes_left) {
  ResultError error;
  error.type = Cut(CurrentExceptionType(), kMaxTypeName);
  std::string message;
  try {
    throw;
  } catch (const std::exception& exception) {
    message = Cut(TextOrNothing(exception.what()), kMaxMessage);
  } catch (const std::string& text) {
    message = Cut(text, kMaxMessage);
  } catch (const char* text) {
    message = Cut(TextOrNothing(text), kMaxMessage);
  } catch (const absl::Status& status) {
    message = Cut(status.ToString(), kMaxMessage);
  } catch (int number) {
    message = absl::StrCat(number);
  } catch (...) {
    message = "not a std::exception, so it has no message";
  }
  error.status = absl::UnknownError(message);
  const std::exception_ptr nested = NestedOfCurrent();
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

ResultError CurrentException(const ThrowSite& site) noexcept {
  ResultError error;
  try {
    error = Describe(kMaxCauses);
    error.stack = StackText(site);
  } catch (...) {
    // There was no memory to say more. What has been said so far stays.
    if (error.type.empty()) error.type = "exception";
    if (error.status.ok()) error.status = absl::UnknownError("");
  }
  return error;
}

ResultError StatusError(const absl::Status& status) {
  ResultError error = {.type = "absl::Status", .status = status, .stack = "", .cause = nullptr};
  size_t payloads = 0;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& bytes) {
    payloads += url.size() + bytes.size() + kPayloadOverhead;
  });
  if (status.message().size() > kMaxStatusMessage || payloads > kMaxPayloads) {
    std::string message = Cut(status.message(), kMaxStatusMessage);
    if (payloads > kMaxPayloads)
      absl::StrAppend(&message, " (its payloads of ", payloads, " bytes are too large to keep)");
    error.status = absl::Status(status.code(), message);
    if (payloads <= kMaxPayloads) {
      status.ForEachPayload(
          [&](absl::string_view url, const absl::Cord& bytes) { error.status.SetPayload(url, bytes); });
    }
  }
  return error;
}

void PrintError(std::string_view where, const ResultError& error) {
  std::string text = absl::StrCat(where, " ended by ");
  for (const ResultError* e = &error; e != nullptr; e = e->cause.get()) {
    if (e != &error) absl::StrAppend(&text, "  caused by ");
    const bool is_status = e->type == "absl::Status";
    absl::StrAppend(&text, e->type, ": ", is_status ? e->status.ToString() : std::string(e->status.message()), "\n");
    for (std::string_view frame : absl::StrSplit(e->stack, '\n', absl::SkipEmpty())) {
      absl::StrAppend(&text, "    at ", frame, "\n");
    }
  }
  // One call: lines of several children on one terminal stay whole.
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace internal
}  // namespace brood
