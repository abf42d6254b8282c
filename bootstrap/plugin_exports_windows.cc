// What a DLL with targets exports; a program has it, too, and it does nothing there.
#include "bootstrap/current_process.h"
#include "bootstrap/exit.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/log.h"
#include "bootstrap/plugin_link.h"

extern "C" {

__declspec(dllexport) const char* BroodPluginRuntime() { return brood::internal::kPluginRuntime; }

__declspec(dllexport) const brood::internal::TargetEntry* BroodPluginTargets() { return brood::internal::NewestTarget(); }

__declspec(dllexport) void BroodPluginAttach(const brood::internal::PluginLink* link) {
  brood::internal::UseFinalizers(link->finalizers);
  brood::internal::UseProcessFacts(link->process_facts);
  brood::internal::OnExitRequest(link->exit);
  brood::LogToStderr(static_cast<brood::LogLevel>(link->log_level));
}

}  // extern "C"
