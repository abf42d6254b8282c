// What a program and a DLL with targets have of each other on Windows.
//
// A DLL binds nothing to the program that loads it, so each has a copy of brood. The program takes the DLL's targets by the
// functions below, which every DLL exports that says BROOD_TARGET, and gives it what there is one of in a process: finalizers,
// the way to end, who this process is, the level of the log. Both are built from the same headers, or the program refuses the DLL
// before it calls anything else of it.
//
// Windows only. Not for users.
#ifndef BROOD_BOOTSTRAP_PLUGIN_LINK_H_
#define BROOD_BOOTSTRAP_PLUGIN_LINK_H_

#include "bootstrap/exit.h"
#include "bootstrap/registry.h"

namespace brood::internal {

// Of the C library and of the C++ library's debug mode: memory that one side allocates is freed by the other. A macro that a
// compiler lacks stands for itself.
inline constexpr char kPluginRuntime[] = "C library " BROOD_INTERNAL_TEXT(__MSVCRT_VERSION__) ", iterator debug level "
    BROOD_INTERNAL_TEXT(_ITERATOR_DEBUG_LEVEL);

// What the program lends; lives for ever.
struct PluginLink {
  void* finalizers;
  const void* process_facts;
  void (*exit)(ExitRequest request);
  int log_level;
};

// The exports by name, and their types.
inline constexpr char kPluginRuntimeExport[] = "BroodPluginRuntime";
inline constexpr char kPluginTargetsExport[] = "BroodPluginTargets";
inline constexpr char kPluginAttachExport[] = "BroodPluginAttach";
using PluginRuntimeFunction = const char* (*)();
using PluginTargetsFunction = const TargetEntry* (*)();  // The newest.
using PluginAttachFunction = void (*)(const PluginLink* link);

}  // namespace brood::internal

#endif  // BROOD_BOOTSTRAP_PLUGIN_LINK_H_
