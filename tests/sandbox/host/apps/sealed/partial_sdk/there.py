VALUE = "there"
