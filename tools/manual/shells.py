def write_all(whole, commands):
    return []
