#include <cxxabi.h>
#include <unwind.h>

#include <cstdint>
#include <exception>

#include "bootstrap/throw_site.h"

extern "C" {

void BroodWatchedFrame(void (*function)(const void*), const void* arg) __attribute__((visibility("hidden")));

_Unwind_Reason_Code BroodPersonality(int version, _Unwind_Action actions, uint64_t exception_class,
                                     _Unwind_Exception* exception, _Unwind_Context* context)
    __attribute__((visibility("hidden")));

}  // extern "C"

namespace brood {
namespace internal {
namespace {

// The personality routine is given no argument of ours.
thread_local ThrowSite* t_site = nullptr;

template <typename Function>
uintptr_t AddressOf(Function* function) {
  return reinterpret_cast<uintptr_t>(function);
}

_Unwind_Reason_Code NoteFrame(_Unwind_Context* context, void* arg) {
  auto* const site = static_cast<ThrowSite*>(arg);
  const uintptr_t function = _Unwind_GetRegionStart(context);
  if (function == AddressOf(&BroodWatchedFrame)) return _URC_END_OF_STACK;
  // All that is further in is the machinery of the throw, which is of no interest to anybody.
  if (function == AddressOf(&abi::__cxa_throw) || function == AddressOf(&abi::__cxa_rethrow) ||
      function == AddressOf<void(std::exception_ptr)>(&std::rethrow_exception)) {
    site->count = 0;
    return _URC_NO_REASON;
  }
  if (site->count == ThrowSite::kMaxFrames) {
    site->cut = true;
    return _URC_END_OF_STACK;
  }
  int is_exact = 0;
  uintptr_t address = _Unwind_GetIPInfo(context, &is_exact);
  // A return address may belong to the next line, or the next function: the call is before it.
  if (is_exact == 0 && address > 0) --address;
  if (address != 0) site->frames[site->count++] = reinterpret_cast<void*>(address);
  return _URC_NO_REASON;
}

}  // namespace

void WatchCall(void (*function)(const void*), const void* arg, ThrowSite* site) {
  // Restored however the call ends: a watched call may run inside of another.
  struct Restore {
    ~Restore() { t_site = before; }
    ThrowSite* before = t_site;
  } restore;
  *site = {};
  t_site = site;
  BroodWatchedFrame(function, arg);
}

}  // namespace internal
}  // namespace brood

_Unwind_Reason_Code BroodPersonality(int /*version*/, _Unwind_Action actions, uint64_t /*exception_class*/,
                                     _Unwind_Exception* /*exception*/, _Unwind_Context* /*context*/) {
  using brood::internal::t_site;
  if ((actions & _UA_SEARCH_PHASE) != 0 && t_site != nullptr) {
    *t_site = {};
    _Unwind_Backtrace(brood::internal::NoteFrame, t_site);
  }
  return _URC_CONTINUE_UNWIND;
}
