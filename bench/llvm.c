/* SPDX-License-Identifier: MIT */
/* A file of LLVM's is read, verified and counted: as a program, and as an entry point. LLVM-C's own declarations, since
 * its headers are another package. */
#include <stdio.h>

typedef struct LLVMOpaqueContext *LLVMContextRef;
typedef struct LLVMOpaqueModule *LLVMModuleRef;
typedef struct LLVMOpaqueMemoryBuffer *LLVMMemoryBufferRef;
typedef struct LLVMOpaqueValue *LLVMValueRef;

LLVMContextRef LLVMContextCreate(void);
int LLVMCreateMemoryBufferWithContentsOfFile(const char *path, LLVMMemoryBufferRef *buffer, char **message);
int LLVMParseIRInContext(LLVMContextRef context, LLVMMemoryBufferRef buffer, LLVMModuleRef *module, char **message);
int LLVMVerifyModule(LLVMModuleRef module, int action, char **message);
LLVMValueRef LLVMGetFirstFunction(LLVMModuleRef module);
LLVMValueRef LLVMGetNextFunction(LLVMValueRef function);

int parse(int argc, char **argv);
int parse(int argc, char **argv) {
        LLVMMemoryBufferRef buffer;
        LLVMModuleRef module;
        char *message = NULL;
        int n = 0;

        (void)argc;
        if (LLVMCreateMemoryBufferWithContentsOfFile("unit.ll", &buffer, &message) ||
            LLVMParseIRInContext(LLVMContextCreate(), buffer, &module, &message) ||
            LLVMVerifyModule(module, 2, &message)) {
                fprintf(stderr, "%s\n", message ? message : "it isn't valid");
                return 1;
        }
        for (LLVMValueRef function = LLVMGetFirstFunction(module); function; function = LLVMGetNextFunction(function))
                n++;
        printf("%s %d\n", argv[1], n);
        return 0;
}

#ifdef PROGRAM
int main(int argc, char **argv) {
        return parse(argc, argv);
}
#endif
