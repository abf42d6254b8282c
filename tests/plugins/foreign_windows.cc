// A DLL that knows nothing of brood.
extern "C" __declspec(dllexport) int Seven() { return 7; }
