using '../main.bicep'

// Nothing given: every option off. Nobody may send, and nobody is told.
